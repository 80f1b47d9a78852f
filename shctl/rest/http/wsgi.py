"""Call a WSGI application (PEP 3333) for a request that came over ASGI."""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

Environ = dict[str, Any]
WsgiCallable = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
_ORIGIN = re.compile(r"^https?://[^/]*", re.IGNORECASE)


@dataclass(frozen=True)
class Response:
    """A complete HTTP response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def environ(scope: dict[str, Any], client: str) -> Environ:
    """Return the WSGI environment of a request, still without its body."""
    server = scope.get("server") or ("localhost", 0)
    # The absolute form of a target, as for a proxy, is valid here too (RFC 9112, 3.2.2).
    path = _ORIGIN.sub("", scope["path"])
    # /hosts/ is /hosts.
    path = path.removesuffix("/") or "/"
    built: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        # PEP 3333: strings hold bytes, decoded as Latin-1.
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
    return built | _headers(scope["headers"])


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return header fields under their CGI names; repeated fields are joined by commas."""
    found: dict[str, str] = {}
    for name, value in headers:
        text, field = value.decode("latin-1"), name.decode("latin-1").upper().replace("-", "_")
        key = field if field in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{field}"
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def call(application: WsgiCallable, environ: Environ, body: bytes) -> Response:
    """Run an application in the current thread and return its whole response."""
    started: list[tuple[int, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        started.append((int(status[:3]), headers))

    whole = b"".join(application({**environ, "wsgi.input": BytesIO(body)}, start))
    # An application may call start again when it fails; the last call counts.
    return Response(*started[-1], whole)
