"""Requests to servers that may be slow, broken or hostile.

Nothing here trusts a server to answer, to end, to keep its word about lengths, or to redirect to a
sane place.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shctl.install.http.errors import explain
from shctl.install.http.results import FetchFailed, Limits
from shctl.install.http.urls import follow, redact

if TYPE_CHECKING:
    from shctl.install.http.proxies import Proxy

CHUNK = 256 << 10
# How long a server that ignores "Connection: close" is given to send surplus bytes.
LINGER = 1.0
TOO_SLOW = ("too slow", "it took too long altogether; retry later")
_MOST_DIGITS = 18  # of a length, beyond all limits; Python refuses to read thousands
_LONGEST_URL = 4096


@dataclass(frozen=True)
class Answer:
    """An answer whose headers have come: urllib3's response, where it came from and how."""

    url: str
    response: Any
    proxy: "Proxy | None"

    @property
    def status(self) -> int:
        """Return HTTP's number."""
        return int(self.response.status)

    def header(self, name: str) -> str | None:
        """Return a header's value, None where there is no such header."""
        value: str | None = self.response.headers.get(name)
        return value

    @property
    def length(self) -> int | None:
        """Return the length that the body is to have, None where the server leaves it open."""
        text = self.header("Content-Length") or ""
        chunked = self.header("Transfer-Encoding") is not None
        is_number = text.isascii() and text.isdigit()
        return int(text[:_MOST_DIGITS]) if is_number and not chunked else None

    def close(self) -> None:
        """Close the connection unless the body was read whole."""
        self.response.close()


class Connections:
    """The connections for requests below one location; exact ones notice surplus bytes."""

    def __init__(self, limits: Limits, *, exact: bool) -> None:
        import urllib3  # 34 ms, for those who fetch

        from shctl.install.http.transport import Line, Session

        self.limits = limits
        self._line = Line()
        self._session = Session(self._line, exact=exact)
        self._timeout = urllib3.Timeout(connect=limits.connect, read=limits.stall)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def limited(self, seconds: float) -> AbstractContextManager[None]:
        """Cut all connections when the block takes longer than seconds."""
        return self._line.limited(seconds)

    def open(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to GET, redirects followed; raise FetchFailed, also for 5xx."""
        where, most = url, self.limits.redirects
        for hop in range(most + 1):
            with self._translated(where):
                response = self._session.open(
                    where, headers or {}, self._timeout, redirected=hop > 0
                )
            answer = Answer(where, response, self._session.proxy)
            self._check_alive(answer)
            target = response.get_redirect_location()
            if not target:
                return answer
            answer.close()
            where = _follow(where, target)
        raise FetchFailed(url, "redirects", f"more than {most} redirects")

    def chunks(self, answer: Answer, limit: int) -> Iterator[bytes]:
        """Yield the body as it was sent; raise FetchFailed unless it is whole and within limit."""
        url, declared, done = answer.url, answer.length, 0
        if (declared or 0) > limit:
            raise FetchFailed(url, "too long", f"it has {declared} bytes, the limit is {limit}")
        while chunk := self._read_some(answer, declared, done):
            done += len(chunk)
            if declared is not None and done > declared:
                raise FetchFailed(url, "too long", f"more came than the {declared} bytes declared")
            if done > limit:
                raise FetchFailed(url, "too long", f"it goes on after the limit, {limit} bytes")
            yield chunk
        if self._line.cut:
            raise FetchFailed(url, *TOO_SLOW)
        if declared is not None and done < declared:
            raise FetchFailed(url, "too short", f"{done} of {declared} bytes came; retry")

    def head(self, answer: Answer, size: int) -> bytes:
        """Return the first bytes of a body, size of them unless it is shorter."""
        head = b""
        with self._translated(answer.url):
            while len(head) < size and (
                more := answer.response.read(size - len(head), decode_content=False)
            ):
                head += more
        if self._line.cut:
            raise FetchFailed(answer.url, *TOO_SLOW)
        return head

    def _read_some(self, answer: Answer, declared: int | None, done: int) -> bytes:
        left = CHUNK if declared is None else declared - done
        if left == 0:
            self._line.shorten(LINGER)
        with self._translated(answer.url):
            try:
                # Always the bytes as sent: lengths and checksums are about those.
                return answer.response.read(min(left, CHUNK) or 1, decode_content=False) or b""
            except Exception:
                if left == 0 and not self._line.cut:
                    return b""
                raise

    def _check_alive(self, answer: Answer) -> None:
        status, cut = answer.status, self._line.cut
        is_proxys = status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and not cut and not is_proxys:
            return
        answer.close()
        if cut:
            # Headers that were cut off look like a whole answer.
            raise FetchFailed(answer.url, *TOO_SLOW)
        if is_proxys and answer.proxy:
            reason = f"the proxy {answer.proxy} wants a user and a password; give them there"
            raise FetchFailed(answer.url, "proxy", reason)
        through = f" through the proxy {answer.proxy}" if answer.proxy else ""
        reason = f"the server answers {status}{through}; retry later"
        raise FetchFailed(answer.url, str(status), reason)

    @contextmanager
    def _translated(self, url: str) -> Iterator[None]:
        from urllib3.exceptions import HTTPError

        from shctl.install.http.proxies import BadProxy
        from shctl.install.http.redirects import Forbidden

        try:
            yield
        except Forbidden as error:
            raise FetchFailed(url, "redirect", _refused(url, f"{error.kind} address")) from None
        except BadProxy as error:
            raise FetchFailed(url, "proxy", str(error)) from None
        except (HTTPError, OSError, ValueError) as error:
            if self._line.cut:
                raise FetchFailed(url, *TOO_SLOW) from None
            raise FetchFailed(url, *explain(error, self.limits, self._session.proxy)) from None


def _refused(url: str, what: str) -> str:
    host = redact(f"//{urlsplit(url).hostname}").removeprefix("//")
    return (
        f"a redirect leads to {host}, a {what}, which is refused;"
        " if that is meant, give the location there"
    )


def _follow(url: str, target: str) -> str:
    if len(target) > _LONGEST_URL:
        refused = f"it redirects to a URL of more than {_LONGEST_URL} characters"
        raise FetchFailed(url, "redirect", refused)
    there = follow(url, target)
    if there is None:
        refused = f"it redirects to {redact(target)}, which is refused"
        raise FetchFailed(url, "redirect", refused)
    return there
