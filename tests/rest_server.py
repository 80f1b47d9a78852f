"""Run a server, and send requests over its Unix socket and over TLS."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import HANG, SHCTL, call, environment, run

PORT = 8420
TOKENS = Path("/var/lib/shctl/tokens.json")
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """A response; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        """Whether this is an error in the form of RFC 9457."""
        if self.headers.get("content-type") != "application/problem+json":
            return False
        problem = self.json
        texts = all(problem[key] for key in ("title", "detail", "code"))
        return problem["status"] == self.status and texts


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Client:
    """Sends requests, each over a new connection."""

    address: Path | int
    context: ssl.SSLContext | None = None
    token: str | None = None
    source: tuple[str, int] | None = None

    def connection(self, timeout: float = HANG) -> http.client.HTTPConnection:
        if isinstance(self.address, Path):
            return UnixConnection(self.address, timeout)
        if self.context:
            return http.client.HTTPSConnection(
                "localhost", self.address, timeout=timeout, context=self.context,
                source_address=self.source,
            )  # fmt: skip
        return http.client.HTTPConnection("localhost", self.address, timeout=timeout)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        timeout: float = HANG,
    ) -> Reply:
        """Send a request; a body other than bytes is sent as JSON."""
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body, sent = json.dumps(body).encode(), {**JSON, **sent}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        connection = self.connection(timeout)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, received, answer.read())
        finally:
            connection.close()

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed; return its data."""
        reply = self.ask(method, path, body)
        assert reply.status in (200, 201, 204), reply
        return reply.json if reply.body else None


@dataclass
class Running:
    """A server process, with its socket and the file of its log."""

    process: "subprocess.Popen[bytes]"
    socket: Path
    log: Path
    stopped: bool = field(default=False)

    @property
    def client(self) -> Client:
        return Client(self.socket)

    def lines(self, log: str = "") -> list[dict[str, Any]]:
        """Return the lines of one log, or of all."""
        found = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in found if not log or line["log"] == log]

    def stop(self) -> int:
        """Stop the server; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HANG)


@contextmanager
def serving(
    directory: Path, *options: str, command: Sequence[str] = SHCTL, **env: str
) -> Iterator[Running]:
    """Run a server whose socket and log are in a directory, ready when the block begins."""
    path, log = directory / "shctl.sock", directory / "log"
    argv = [*command, "serve", "--socket", str(path), *options]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        log.open("wb") as stream,
    ):
        channel.bind(str(directory / "notify"))
        channel.settimeout(HANG)
        given = environment(NOTIFY_SOCKET=str(directory / "notify"), **env)
        process = subprocess.Popen(argv, env=given, stdin=subprocess.DEVNULL, stderr=stream)
        try:
            _await_ready(channel, process, log)
            yield Running(process, path, log)
        finally:
            _end(process)
            (directory / "notify").unlink()


def _await_ready(channel: socket.socket, process: "subprocess.Popen[bytes]", log: Path) -> None:
    channel.settimeout(0.1)
    for _ in range(10 * HANG):
        try:
            assert channel.recv(100) == b"READY=1"
        except TimeoutError:
            assert process.poll() is None, log.read_text()
        else:
            return
    raise AssertionError("the server did not become ready")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def make_token(name: str, scope: str, *more: str) -> str:
    """Create a token; return its secret."""
    done = run("-o", "json", "tokens", "create", name, "--scope", scope, *more)
    assert done.code == 0, done
    return str(done.json["token"])


@dataclass(frozen=True)
class Certificates:
    """Files of a small certificate authority, its server and a client."""

    authority: Path
    certificate: Path
    key: Path
    client_certificate: Path
    client_key: Path

    @property
    def options(self) -> tuple[str, ...]:
        return "--tls-cert", str(self.certificate), "--tls-key", str(self.key)

    def context(self, *, with_client: bool = False) -> ssl.SSLContext:
        """Return a client's TLS context that trusts the authority."""
        context = ssl.create_default_context(cafile=str(self.authority))
        if with_client:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context


def make_certificates(directory: Path) -> Certificates:
    """Create an authority with a certificate for localhost and one for a client."""
    # Python 3.13 is strict: an authority needs keyUsage, and other certificates CA:FALSE.
    may_sign = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
    may_not = "basicConstraints=critical,CA:FALSE"
    authority = _certificate(directory, "authority", may_sign)
    server = _certificate(
        directory, "server", [may_not, "subjectAltName=DNS:localhost,IP:127.0.0.1"], authority
    )
    client = _certificate(directory, "client", [may_not, "extendedKeyUsage=clientAuth"], authority)
    return Certificates(authority[0], *server, *client)


def _certificate(
    directory: Path, name: str, extensions: Sequence[str], signer: tuple[Path, Path] | None = None
) -> tuple[Path, Path]:
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    signed = ("-CA", str(signer[0]), "-CAkey", str(signer[1])) if signer else ()
    call(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={name}", *signed,
        *(word for extension in extensions for word in ("-addext", extension)),
        "-keyout", str(key), "-out", str(certificate),
    )  # fmt: skip
    key.chmod(0o600)
    return certificate, key


def children() -> list[str]:
    """Return the command lines of all processes, as `ps` shows them to everyone."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and entry.name != str(os.getpid()):
            try:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except (OSError, UnicodeDecodeError):
                continue
    return found
