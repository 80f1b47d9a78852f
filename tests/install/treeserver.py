"""A loopback HTTP server that serves trees from memory, counts what it sends, and can misbehave."""

import gzip
import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# An empty archive in the "newc" format, padded with NULs.
INITRD = (b"070701" + b"%08X" * 13 % (*[0] * 4, 1, *[0] * 6, 11, 0) + b"TRAILER!!!").ljust(
    7000, b"\0"
)


SHORT_KERNEL = (b"\0" * 0x1F1 + b"\x1f\0\0\0\x08").ljust(0x1FE, b"\0") + b"\x55\xaa\0\0HdrS"


def make_kernel(text: bytes = b"") -> bytes:
    """Return the smallest valid bzImage header, with text at its end."""
    return b"\0" * 0x1FE + b"\x55\xaa\0\0HdrS" + text.ljust(6000, b".")


KERNEL = make_kernel()


class TreeServer(ThreadingHTTPServer):
    """`files` maps paths to contents, `modes` maps paths to functions that respond instead.

    `missing` responds for all other paths, `heads` for HEAD.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((address, port), Handler)
        self.files: dict[str, bytes] = {}
        self.modes: dict[str, Mode] = {}
        self.missing: Mode | None = None
        self.heads: Mode | None = None
        self.validators = True
        self.methods = {"GET", "HEAD"}
        self.requests: list[tuple[str, str, str, int]] = []
        self.sent: Counter[str] = Counter()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: tests close connections on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TreeServer

    def do_GET(self) -> None:  # noqa: N802, the base class looks for this name
        if self.command not in self.server.methods:
            self.answer(405)
        elif self.command == "HEAD" and self.server.heads:
            self.server.heads(self)
        elif mode := self.server.modes.get(self.path):
            mode(self)
        elif (content := self.server.files.get(self.path)) is None:
            (self.server.missing or NOT_FOUND)(self)
        elif self.is_unchanged(content):
            self.answer(304)
        elif asked := re.fullmatch(r"bytes=0-(\d+)", self.headers.get("Range", "")):
            self.answer(206, content[: int(asked[1]) + 1], self.validators(content))
        else:
            self.answer(200, content, self.validators(content))

    do_HEAD = do_GET  # noqa: N815

    def validators(self, content: bytes) -> dict[str, str]:
        tag = hashlib.sha256(content).hexdigest()[:16]
        return {"ETag": f'"{tag}"'} if self.server.validators else {}

    def is_unchanged(self, content: bytes) -> bool:
        tag = self.validators(content).get("ETag")
        return tag is not None and self.headers.get("If-None-Match") == tag

    def answer(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        agent = self.headers.get("User-Agent", "").partition("/")[0]
        self.server.requests.append((agent, self.command, self.path, status))
        self.send_response(status)
        if status != 304:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and status != 304:
            self.server.sent[self.path] += len(body)
            self.wfile.write(body)

    def wait(self) -> None:
        self.server.closing.wait(30)

    def log_message(self, *args: object) -> None:
        """Do not write to stderr."""


Mode = Callable[[Handler], None]


def status(number: int) -> Mode:
    return lambda handler: handler.answer(number, b"<html>no</html>")


def stall_in_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    handler.wait()


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    drip(handler)


def stall_in_body(handler: Handler) -> None:
    handler.answer(200, KERNEL[:1000], length=len(KERNEL))
    handler.wait()


def drip_body(handler: Handler) -> None:
    handler.answer(200, KERNEL[:1000], length=len(KERNEL))
    drip(handler)


def drip(handler: Handler) -> None:
    with suppress(OSError):
        while not handler.server.closing.wait(0.05):
            handler.wfile.write(b".")


def too_short(handler: Handler) -> None:
    handler.answer(200, KERNEL[:-1000], length=len(KERNEL))
    handler.close_connection = True


def too_long(handler: Handler) -> None:
    handler.answer(200, KERNEL + b"surplus", length=len(KERNEL))
    handler.close_connection = True


def too_large(handler: Handler) -> None:
    handler.answer(200, b"", length=1 << 40)
    handler.close_connection = True


def endless(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    with suppress(OSError):
        while not handler.server.closing.is_set():
            handler.wfile.write(b"\0" * 65536)


def endless_redirect_body(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n")
    with suppress(OSError):
        while not handler.server.closing.is_set():
            handler.wfile.write(b"\0" * 65536)


def negative_chunk(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
    with suppress(OSError):
        while not handler.server.closing.is_set():
            handler.wfile.write(b"\0" * 65536)


def endless_trailers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    with suppress(OSError):
        while not handler.server.closing.is_set():
            handler.wfile.write(b"A: b\r\n" * 1000)


def long_headers(line: bytes) -> Mode:
    """Return a mode that sends as many headers as http.client accepts."""

    def answer(handler: Handler) -> None:
        with suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + line * 90 + b"\r\n")
        handler.close_connection = True

    return answer


def redirect(target: str) -> Mode:
    return lambda handler: handler.answer(302, headers={"Location": target})


def serve(content: bytes, **headers: str) -> Mode:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.answer(200, content, named)


def compressed(content: bytes) -> Mode:
    return serve(gzip.compress(content), Content_Encoding="gzip")


def not_http(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    handler.close_connection = True


NOT_FOUND = status(404)


@contextmanager
def running(address: str = "127.0.0.1", port: int = 0) -> Iterator[TreeServer]:
    server = TreeServer(address, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
