"""Connections of urllib3 that can be cut off and that notice surplus bytes.

A read timeout starts anew with each byte, so a server that drips never meets it; an overall limit
needs a hold on the sockets. And a client that stops at Content-Length never sees a longer body.
Imported by fetch when the first request is made: urllib3 takes 34 ms to import.
"""

import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3

import shctl
from shctl.install.http import proxies
from shctl.install.http.proxies import Proxy
from shctl.install.http.redirects import Reach

# OpenSSL's own choice, which SSL_CERT_FILE can change; Debian's urllib3 has a fixed file instead.
TRUST: dict[str, Any] = {"ca_certs": None}
AGENT = {"Accept-Encoding": "identity", "User-Agent": f"shctl/{shctl.__version__}"}
# As many bytes as mirrors and content networks send, several times.
MOST_HEADERS = 32 << 10


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


class Head:
    """The beginning of a reply, up to its body, which must not be long."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.close = stream.close
        self._left = MOST_HEADERS

    def readline(self, limit: int) -> bytes:
        """Return the next line; raise HTTPException when there were too many bytes already."""
        line: bytes = self.stream.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException(f"more than {MOST_HEADERS} bytes of headers")
        return line


class BoundedResponse(http.client.HTTPResponse):
    """A reply that holds headers and chunks to limits: http.client takes 6 MiB of headers."""

    def begin(self) -> None:
        """Read the status and the headers."""
        head: Any = Head(self.fp)
        self.fp = head
        try:
            super().begin()
        finally:
            if self.fp is head:  # it is not when there is no body
                self.fp = head.stream

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:  # http.client would read all that comes
            raise http.client.HTTPException("a chunk of less than no bytes")
        return size

    def _read_and_discard_trailer(self) -> None:
        """Read what stands behind the last chunk; http.client would read it without end."""
        head = Head(self.fp)
        while head.readline(MOST_HEADERS) not in (b"\r\n", b"\n", b""):
            pass


class PatientResponse(BoundedResponse):
    """A reply that looks for one byte more than it declared, so that surplus shows."""

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        if self.length:
            self.length += 1


class Session:
    """Connections on one line; an exact one shows surplus bytes, one request a connection.

    Proxy is the one that the last request went through.
    """

    def __init__(self, line: Line, *, exact: bool) -> None:
        self.proxy: Proxy | None = None
        self._line = line
        self._exact = exact
        self._reach = Reach()
        self._managers: dict[Proxy | None, Any] = {}
        # The end of the connection then marks the end of the body.
        self._headers = AGENT | ({"Connection": "close"} if exact else {})

    def open(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: urllib3.Timeout,
        *,
        redirected: bool = False,
    ) -> Any:
        """Send a request and return urllib3's response, its body unread, redirects not followed.

        Raise Forbidden where a redirect leads to what it must not lead to. Behind a proxy the
        address of a name is the proxy's to check.
        """
        self.proxy = proxies.choose(url)
        self._reach.begin(urlsplit(url).hostname or "", redirected=redirected)
        return self._manager(self.proxy).request(
            "GET",
            url,
            headers={**self._headers, **_authorization(url), **headers},
            timeout=timeout,
            preload_content=False,
            redirect=False,
            retries=False,
        )

    def close(self) -> None:
        """Close the connections that are idle."""
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, proxy: Proxy | None) -> Any:
        if proxy not in self._managers:
            manager = _through(proxy.url) if proxy else urllib3.PoolManager(**TRUST)
            self._watch(manager, None if proxy else self._reach)
            self._managers[proxy] = manager
        return self._managers[proxy]

    def _watch(self, manager: Any, reach: Reach | None) -> None:
        pools = manager.pool_classes_by_scheme.items()
        manager.pool_classes_by_scheme = {
            scheme: _watched_pool(pool, self._line, reach, exact=self._exact)
            for scheme, pool in pools
        }


def _through(proxy: str) -> Any:
    user = _credentials(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **TRUST)


def _authorization(url: str) -> dict[str, str]:
    user = _credentials(url)
    return dict(urllib3.make_headers(basic_auth=user)) if user else {}


def _credentials(url: str) -> str:
    user = urlsplit(url).netloc.rpartition("@")[0]
    return unquote(user)


def _watched_pool(pool: Any, line: Line, reach: Reach | None, *, exact: bool) -> type:
    """Return urllib3's class pool with connections that line knows of, and reach has checked.

    Made with type(), for urllib3 has type hints in some of its versions only.
    """
    base = pool.ConnectionCls
    response = PatientResponse if exact else BoundedResponse

    def connect(self: Any) -> None:
        base.connect(self)
        line.add(self.sock)
        if reach:
            reach.check_peer(self.sock)

    connection = type(base.__name__, (base,), {"connect": connect, "response_class": response})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
