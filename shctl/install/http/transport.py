"""urllib3 with a time limit for the whole request, bounded headers, and a check for surplus bytes.

A read timeout restarts with every byte, so a slow-drip server never reaches it: a limit for the
whole request has to shut down the sockets. And a client that stops reading at Content-Length never
notices a longer body. Import this module late: importing urllib3 takes 34 ms.
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
from shctl.install.http.redirects import RedirectPolicy

# None lets OpenSSL choose, so that SSL_CERT_FILE works; Debian's urllib3 would use a fixed file.
TRUST: dict[str, Any] = {"ca_certs": None}
DEFAULT_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"shctl/{shctl.__version__}"}
# Bytes; several times what mirrors and content delivery networks send.
MAX_HEADERS = 32 << 10


class TrackedSockets:
    """The connected sockets of a transport, so that a timer can shut them down.

    `expired` is True once a time limit has passed.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self.expired = False

    def add(self, sock: socket.socket) -> None:
        """Add a socket that was just connected."""
        self._sockets.append(sock)

    def set_timeout(self, seconds: float) -> None:
        """Set the timeout of later reads, in seconds."""
        for sock in self._sockets:
            with suppress(OSError):
                sock.settimeout(seconds)

    def _expire(self) -> None:
        self.expired = True
        for sock in self._sockets:
            # shutdown() wakes up a read in another thread, close() would not.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def time_limit(self, seconds: float) -> Iterator[None]:
        """Shut the sockets down if the block takes longer than `seconds`."""
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class HeaderReader:
    """A response's stream up to its body; reads at most MAX_HEADERS bytes."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.close = stream.close
        self._left = MAX_HEADERS

    def readline(self, limit: int) -> bytes:
        """Return the next line; raise HTTPException after MAX_HEADERS bytes."""
        line: bytes = self.stream.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException(f"more than {MAX_HEADERS} bytes of headers")
        return line


class BoundedResponse(http.client.HTTPResponse):
    """A response with limits for headers and chunks: http.client accepts 6 MiB of headers."""

    def begin(self) -> None:
        """Read the status and the headers."""
        reader: Any = HeaderReader(self.fp)
        self.fp = reader
        try:
            super().begin()
        finally:
            if self.fp is reader:  # begin() sets fp to None if there is no body
                self.fp = reader.stream

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:  # http.client would read until the connection ends
            raise http.client.HTTPException("a chunk of negative size")
        return size

    def _read_and_discard_trailer(self) -> None:
        """Read the trailers; http.client would read any number of them."""
        reader = HeaderReader(self.fp)
        while reader.readline(MAX_HEADERS) not in (b"\r\n", b"\n", b""):
            pass


class ExactResponse(BoundedResponse):
    """A response that can be read one byte past its Content-Length, to detect a longer body."""

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        if self.length:  # what is left of the body, in bytes
            self.length += 1


class Transport:
    """urllib3's connections for the requests below one location.

    `exact` makes each request on a connection of its own and shows bytes past Content-Length.
    `proxy` is the proxy of the last request.
    """

    def __init__(self, sockets: TrackedSockets, *, exact: bool) -> None:
        self.proxy: Proxy | None = None
        self._sockets = sockets
        self._exact = exact
        self._policy = RedirectPolicy()
        self._managers: dict[Proxy | None, Any] = {}
        # The server then closes the connection after the body, so surplus bytes come before that.
        self._headers = DEFAULT_HEADERS | ({"Connection": "close"} if exact else {})

    def open(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: urllib3.Timeout,
        *,
        redirected: bool = False,
    ) -> Any:
        """Send a GET request; return urllib3's response, body unread, redirects not followed.

        Raise ForbiddenAddress for a redirect that RedirectPolicy forbids. Behind a proxy, only
        addresses in URLs are checked: the proxy resolves the names.
        """
        self.proxy = proxies.choose(url)
        self._policy.begin(urlsplit(url).hostname or "", redirected=redirected)
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
        """Close idle connections."""
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, proxy: Proxy | None) -> Any:
        if proxy not in self._managers:
            manager = _proxy_manager(proxy.url) if proxy else urllib3.PoolManager(**TRUST)
            self._customize(manager, None if proxy else self._policy)
            self._managers[proxy] = manager
        return self._managers[proxy]

    def _customize(self, manager: Any, policy: RedirectPolicy | None) -> None:
        """Have a pool manager make connections that are tracked and checked."""
        pools = manager.pool_classes_by_scheme.items()
        manager.pool_classes_by_scheme = {
            scheme: _tracked_pool(pool, self._sockets, policy, exact=self._exact)
            for scheme, pool in pools
        }


def _proxy_manager(proxy: str) -> Any:
    user = _credentials(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **TRUST)


def _authorization(url: str) -> dict[str, str]:
    user = _credentials(url)
    return dict(urllib3.make_headers(basic_auth=user)) if user else {}


def _credentials(url: str) -> str:
    """Return "user:password" from a URL, "" if it has none."""
    return unquote(urlsplit(url).netloc.rpartition("@")[0])


def _tracked_pool(
    pool: Any, sockets: TrackedSockets, policy: RedirectPolicy | None, *, exact: bool
) -> type:
    """Return urllib3's pool class with connections that are added to sockets and checked by policy.

    Made with type(), because only some versions of urllib3 have type hints.
    """
    base = pool.ConnectionCls
    response = ExactResponse if exact else BoundedResponse

    def connect(self: Any) -> None:
        base.connect(self)
        sockets.add(self.sock)
        if policy:
            policy.check_peer(self.sock)

    connection = type(base.__name__, (base,), {"connect": connect, "response_class": response})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
