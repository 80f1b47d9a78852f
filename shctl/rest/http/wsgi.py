"""Call a WSGI application for a request that has come by ASGI."""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
_ORIGIN = re.compile(r"^https?://[^/]*", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def environ(scope: dict[str, Any], client: str) -> Environ:
    """Return the environment of PEP 3333, without a body yet."""
    server = scope.get("server") or ("localhost", 0)
    # A whole URL is what a client sends that takes the server for a proxy (RFC 9112, 3.2.2).
    path = _ORIGIN.sub("", scope["path"])
    # A slash at its end makes no difference.
    path = path.removesuffix("/") or "/"
    built: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode("utf-8", "replace").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    return built | _fields(scope["headers"])


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return header fields as CGI names them; one that comes twice is one list."""
    found: dict[str, str] = {}
    for name, value in headers:
        text, word = value.decode("latin-1"), name.decode("latin-1").upper().replace("-", "_")
        key = word if word in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{word}"
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def call(application: Application, given: Environ, body: bytes) -> Answer:
    """Run an application to its end, in the current thread, and return its answer."""
    started: list[tuple[int, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        started.append((int(status[:3]), headers))

    whole = b"".join(application({**given, "wsgi.input": BytesIO(body)}, start))
    return Answer(*started[-1], whole)
