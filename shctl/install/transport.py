"""Sessions of requests that can be cut off and that notice surplus bytes.

A read timeout starts anew with each byte, so a server that drips never meets it; an overall limit
needs a hold on the sockets. And a client that stops at Content-Length never sees a longer body.
Imported by fetch when the first request is made: requests takes 60 ms to import.
"""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter

import shctl


class Line:
    """The sockets of one session, which a timer may cut."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self.cut = False

    def add(self, sock: socket.socket) -> None:
        """Note a socket that was just connected."""
        self._sockets.append(sock)

    def shorten(self, seconds: float) -> None:
        """Let reads that are still to come wait no longer than seconds."""
        for sock in self._sockets:
            with suppress(OSError):
                sock.settimeout(seconds)

    def _cut(self) -> None:
        self.cut = True
        for sock in self._sockets:
            # shutdown wakes a read in another thread, close would not.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Cut the line when the block takes longer than seconds."""
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class PatientResponse(http.client.HTTPResponse):
    """A reply that looks for one byte more than it declared, so that surplus shows."""

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        if self.length:
            self.length += 1


class Session(requests.Session):
    """A session that leaves redirects alone."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None, always: allow_redirects=False would still read the whole body first."""


def open_session(line: Line, *, exact: bool) -> requests.Session:
    """Return a session on line; an exact one shows surplus bytes, one request a connection."""
    session = Session()
    session.headers.update(
        {"Accept-Encoding": "identity", "User-Agent": f"shctl/{shctl.__version__}"}
    )
    if exact:
        # The end of the connection then marks the end of the body.
        session.headers["Connection"] = "close"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _adapter(line, exact=exact))
    return session


def _adapter(line: Line, *, exact: bool) -> HTTPAdapter:
    def watch(manager: Any) -> Any:
        pools = manager.pool_classes_by_scheme.items()
        manager.pool_classes_by_scheme = {
            scheme: _watched_pool(pool, line, exact=exact) for scheme, pool in pools
        }
        return manager

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)  # type: ignore[no-untyped-call]
            watch(self.poolmanager)

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            known = len(self.proxy_manager)
            manager = super().proxy_manager_for(*args, **kwargs)  # type: ignore[no-untyped-call]
            return watch(manager) if len(self.proxy_manager) > known else manager

    return Adapter()


def _watched_pool(pool: Any, line: Line, *, exact: bool) -> type:
    """Return urllib3's class pool with connections that line knows of.

    Made with type(), for urllib3 has type hints in some of its versions only.
    """
    base = pool.ConnectionCls
    response = PatientResponse if exact else base.response_class

    def connect(self: Any) -> None:
        base.connect(self)
        line.add(self.sock)

    connection = type(base.__name__, (base,), {"connect": connect, "response_class": response})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
