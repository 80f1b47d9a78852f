"""GET requests to servers that may be slow, broken or hostile.

Nothing here relies on a server to answer, to end its answer, to send as many bytes as it declares,
or to redirect to a harmless place.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shctl.common import debug_log
from shctl.install.http.errors import FetchFailed, explain
from shctl.install.http.limits import Limits
from shctl.install.http.urls import follow, redact

if TYPE_CHECKING:
    from shctl.install.http.proxies import Proxy

CHUNK = 256 << 10  # bytes
# Seconds to wait for surplus bytes from a server that ignores "Connection: close".
SURPLUS_TIMEOUT = 1.0
TOO_SLOW = ("too slow", "it was not complete within the time limit; retry later")
# Digits of a Content-Length: enough for any limit. int() raises ValueError above 4300 digits.
_MAX_DIGITS = 18
_MAX_URL = 4096  # characters of a redirect's target


@dataclass(frozen=True)
class Response:
    """A response whose headers were read: urllib3's response, its URL and the proxy used."""

    url: str
    response: Any
    proxy: "Proxy | None"

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return int(self.response.status)

    def header(self, name: str) -> str | None:
        """Return a header's value, None if there is no such header."""
        value: str | None = self.response.headers.get(name)
        return value

    @property
    def length(self) -> int | None:
        """Return the declared length of the body in bytes, None if there is none."""
        text = self.header("Content-Length") or ""
        chunked = self.header("Transfer-Encoding") is not None
        is_number = text.isascii() and text.isdigit()
        return int(text[:_MAX_DIGITS]) if is_number and not chunked else None

    def close(self) -> None:
        """Close the connection, unless the body was read completely."""
        self.response.close()


class HttpClient:
    """An HTTP client for the requests below one location, used by one thread at a time.

    With `exact`, a body that is longer than its Content-Length is an error.
    """

    def __init__(self, limits: Limits, *, exact: bool) -> None:
        import urllib3  # takes 34 ms, so only when something is fetched

        from shctl.install.http.transport import TrackedSockets, Transport

        self.limits = limits
        self._sockets = TrackedSockets()
        self._transport = Transport(self._sockets, exact=exact)
        self._timeout = urllib3.Timeout(connect=limits.connect, read=limits.stall)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def time_limit(self, seconds: float) -> AbstractContextManager[None]:
        """Make the requests in the block fail once it takes longer than `seconds`."""
        return self._sockets.time_limit(seconds)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Response:
        """Send a GET request and follow redirects; raise FetchFailed, also for status 5xx."""
        current, limit = url, self.limits.redirects
        for hop in range(limit + 1):
            with (
                debug_log.logged(__name__, f"GET {redact(current)}") as call,
                self._translated(current),
            ):
                raw = self._transport.open(
                    current, headers or {}, self._timeout, redirected=hop > 0
                )
                call.result = f"status {raw.status}"
            response = Response(current, raw, self._transport.proxy)
            self._check_status(response)
            target = raw.get_redirect_location()
            if not target:
                return response
            response.close()
            current = _follow(current, target)
        raise FetchFailed(url, "redirects", f"more than {limit} redirects")

    def read_chunks(self, response: Response, limit: int) -> Iterator[bytes]:
        """Yield the body as sent; raise FetchFailed if it is incomplete or longer than limit."""
        url, declared, done = response.url, response.length, 0
        if (declared or 0) > limit:
            raise FetchFailed(url, "too long", f"it has {declared} bytes, the limit is {limit}")
        while chunk := self._read_chunk(response, declared, done):
            done += len(chunk)
            if declared is not None and done > declared:
                reason = f"the server sent more than the {declared} bytes that it declared"
                raise FetchFailed(url, "too long", reason)
            if done > limit:
                raise FetchFailed(url, "too long", f"it is longer than the limit, {limit} bytes")
            yield chunk
        if self._sockets.expired:
            raise FetchFailed(url, *TOO_SLOW)
        if declared is not None and done < declared:
            raise FetchFailed(
                url, "too short", f"only {done} of {declared} bytes were received; retry"
            )

    def read_start(self, response: Response, size: int) -> bytes:
        """Return the first `size` bytes of a body, fewer if it is shorter."""
        start = b""
        with self._translated(response.url):
            while len(start) < size and (
                more := response.response.read(size - len(start), decode_content=False)
            ):
                start += more
        if self._sockets.expired:
            raise FetchFailed(response.url, *TOO_SLOW)
        return start

    def _read_chunk(self, response: Response, declared: int | None, done: int) -> bytes:
        left = CHUNK if declared is None else declared - done
        if left == 0:
            self._sockets.set_timeout(SURPLUS_TIMEOUT)
        with self._translated(response.url):
            try:
                # Not decoded: published lengths and checksums are those of the bytes as sent.
                return response.response.read(min(left, CHUNK) or 1, decode_content=False) or b""
            except Exception:
                # The body is complete; the server only keeps the connection open.
                if left == 0 and not self._sockets.expired:
                    return b""
                raise

    def _check_status(self, response: Response) -> None:
        """Close the response and raise FetchFailed for a server or proxy that does not work."""
        status, expired = response.status, self._sockets.expired
        is_proxys = status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and not expired and not is_proxys:
            return
        response.close()
        if expired:
            # http.client takes headers that were cut off for complete ones.
            raise FetchFailed(response.url, *TOO_SLOW)
        if is_proxys and response.proxy:
            reason = f"the proxy {response.proxy} requires a user and a password; give them there"
            raise FetchFailed(response.url, "proxy", reason)
        through = f" through the proxy {response.proxy}" if response.proxy else ""
        reason = f"the server returned {status}{through}; retry later"
        raise FetchFailed(response.url, str(status), reason)

    @contextmanager
    def _translated(self, url: str) -> Iterator[None]:
        """Raise FetchFailed instead of the errors of urllib3, sockets and the redirect policy."""
        from urllib3.exceptions import HTTPError

        from shctl.install.http.proxies import BadProxy
        from shctl.install.http.redirects import ForbiddenAddress

        try:
            yield
        except ForbiddenAddress as error:
            raise FetchFailed(url, "redirect", _forbidden(url, error.kind)) from None
        except BadProxy as error:
            raise FetchFailed(url, "proxy", str(error)) from None
        except (HTTPError, OSError, ValueError) as error:
            if self._sockets.expired:
                raise FetchFailed(url, *TOO_SLOW) from None
            raise FetchFailed(url, *explain(error, self.limits, self._transport.proxy)) from None


def _forbidden(url: str, kind: str) -> str:
    host = redact(f"//{urlsplit(url).hostname}").removeprefix("//")
    return (
        f"it redirects to {host}, a {kind} address, which is refused;"
        " if this is intended, give that URL as the location"
    )


def _follow(url: str, target: str) -> str:
    """Return the URL that a redirect leads to; raise FetchFailed if it must not be followed."""
    if len(target) > _MAX_URL:
        reason = f"it redirects to a URL of more than {_MAX_URL} characters"
        raise FetchFailed(url, "redirect", reason)
    url_after = follow(url, target)
    if url_after is None:
        reason = f"it redirects to {redact(target)}, which is refused"
        raise FetchFailed(url, "redirect", reason)
    return url_after
