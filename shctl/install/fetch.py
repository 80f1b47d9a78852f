"""Fetching over HTTP from servers that may be slow, broken or hostile.

Nothing here trusts a server to answer, to end, to keep its word about lengths, or to redirect to a
sane place. Local files go through the same checks.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from shctl.errors import InvalidInput
from shctl.install.addresses import follow, local_path, redact
from shctl.install.checks import Checksum
from shctl.install.files import write_whole
from shctl.install.magic import KERNEL_HEAD, is_kernel
from shctl.install.replies import (
    Body,
    FetchFailed,
    Limits,
    Received,
    Reply,
    explain,
    open_local,
    read_local,
)

if TYPE_CHECKING:
    from shctl.install.transport import Line, Session

CHUNK = 256 << 10
# How long a server that ignores "Connection: close" is given to send surplus bytes.
LINGER = 1.0
TOO_SLOW = ("too slow", "it took too long altogether; retry later")

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class _Answer:
    """An answer whose headers have come: urllib3's response, and where it came from."""

    url: str
    line: "Line"
    response: Any

    @property
    def status(self) -> int:
        return int(self.response.status)

    def header(self, name: str) -> str | None:
        value: str | None = self.response.headers.get(name)
        return value

    @property
    def length(self) -> int | None:
        """Return the length that the body is to have, where that is told."""
        text = self.header("Content-Length") or ""
        chunked = self.header("Transfer-Encoding") is not None
        return int(text) if text.isascii() and text.isdigit() and not chunked else None

    def close(self) -> None:
        self.response.close()


class Client:
    """A client for one tree, to be used in a with statement and by one thread at a time."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._opened: tuple[Session, Line] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._opened:
            self._opened[0].close()
            self._opened = None

    def read(self, url: str) -> Reply:
        """Return a small file; a status of 4xx is returned, other failures raise FetchFailed."""
        if path := local_path(url):
            return read_local(path, url, self.limits.text_bytes)
        session, line = self._texts()
        with (
            line.limited(self.limits.text_total),
            closing(self._open(session, line, "GET", url)) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                return Reply(answer.status)
            if (answer.header("Content-Encoding") or "identity") != "identity":
                raise FetchFailed(url, "compressed", "it came compressed, against the request")
            return Reply(200, b"".join(self._chunks(answer, self.limits.text_bytes)))

    def look(self, url: str) -> Reply:
        """Return whether a file exists, without its body; raise FetchFailed as read does."""
        if path := local_path(url):
            return Reply("found" if path.is_file() else "missing")
        session, line = self._texts()
        with line.limited(self.limits.text_total):
            for method in ("HEAD", "GET"):
                with closing(self._open(session, line, method, url)) as answer:
                    # Some servers know GET alone.
                    if answer.status != HTTPStatus.METHOD_NOT_ALLOWED:
                        break
            return Reply(answer.status)

    def download(
        self,
        url: str,
        target: Path,
        *,
        checksum: Checksum | None = None,
        kernel: bool = False,
        known: Received | None = None,
        progress: Progress | None = None,
    ) -> Received | None:
        """Write the file at url to target, whole and with mode 0644, or leave target as it was.

        With kernel its header is checked. With known an unchanged file is not transferred, and
        None is returned. Progress is called with bytes done and in all. Raise InvalidInput when the
        server answers 4xx, NoSpace when the disk is full, InstallFailed for all else.
        """
        with self._source(url, known) as body:
            if body is None:
                return None
            with write_whole(target) as stream:
                return _store(url, body, stream, checksum, progress, kernel=kernel)

    @contextmanager
    def _source(self, url: str, known: Received | None) -> Iterator[Body | None]:
        if path := local_path(url):
            with open_local(path, url, known) as body:
                yield body
            return
        from shctl.install.transport import Line, Session

        line = Line()
        with (
            line.limited(self.limits.image_total),
            closing(Session(line, exact=True)) as session,
            closing(self._open(session, line, "GET", url, _conditions(known))) as answer,
        ):
            yield self._body(answer, url, known)

    def _body(self, answer: _Answer, url: str, known: Received | None) -> Body | None:
        status = answer.status
        if status == HTTPStatus.NOT_MODIFIED and known:
            return None
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise InvalidInput(
                f"{redact(url)} cannot be had: the server answers {status}; check the location",
                field="location",
            )
        if status != HTTPStatus.OK:
            raise FetchFailed(url, str(status), f"the server answers {status}; retry later")
        return Body(
            self._chunks(answer, self.limits.image_bytes),
            answer.length,
            answer.header("ETag"),
            answer.header("Last-Modified"),
        )

    def _texts(self) -> "tuple[Session, Line]":
        if self._opened is None:
            from shctl.install.transport import Line, Session

            line = Line()
            self._opened = Session(line, exact=False), line
        return self._opened

    def _open(
        self,
        session: "Session",
        line: "Line",
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
    ) -> _Answer:
        where, limits = url, self.limits
        for _ in range(limits.redirects + 1):
            with self._translated(where, line):
                response = session.open(
                    method, where, headers or {}, connect=limits.connect, stall=limits.stall
                )
            answer = _Answer(where, line, response)
            _check_alive(answer)
            target = response.get_redirect_location()
            if not target:
                return answer
            answer.close()
            where = _follow(where, target)
        raise FetchFailed(url, "redirects", f"more than {limits.redirects} redirects")

    def _chunks(self, answer: _Answer, limit: int) -> Iterator[bytes]:
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
        if answer.line.cut:
            raise FetchFailed(url, *TOO_SLOW)
        if declared is not None and done < declared:
            raise FetchFailed(url, "too short", f"{done} of {declared} bytes came; retry")

    def _read_some(self, answer: _Answer, declared: int | None, done: int) -> bytes:
        left = CHUNK if declared is None else declared - done
        if left == 0:
            answer.line.shorten(LINGER)
        with self._translated(answer.url, answer.line):
            try:
                # Always the bytes as sent: lengths and checksums are about those.
                return answer.response.read(min(left, CHUNK) or 1, decode_content=False) or b""
            except Exception:
                if left == 0 and not answer.line.cut:
                    return b""
                raise

    @contextmanager
    def _translated(self, url: str, line: "Line") -> Iterator[None]:
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (HTTPError, OSError, ValueError) as error:
            word, reason = TOO_SLOW if line.cut else explain(error, self.limits)
            raise FetchFailed(url, word, reason) from None


def _store(
    url: str,
    body: Body,
    stream: BinaryIO,
    checksum: Checksum | None,
    progress: Progress | None,
    *,
    kernel: bool,
) -> Received:
    algorithms = {"sha256", checksum.algorithm if checksum else "sha256"}
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    done, head = 0, b""
    for chunk in body.chunks:
        stream.write(chunk)
        for digest in digests.values():
            digest.update(chunk)
        done += len(chunk)
        head += chunk[: KERNEL_HEAD - len(head)]
        if progress:
            progress(done, body.length)
    if checksum and digests[checksum.algorithm].hexdigest() != checksum.value:
        published = f"its {checksum.algorithm} is not the one that the tree publishes; retry"
        raise FetchFailed(url, "checksum", published)
    if kernel and not is_kernel(head):
        raise FetchFailed(url, "junk", "it is not an x86 Linux kernel; check the location")
    return Received(done, digests["sha256"].hexdigest(), body.etag, body.last_modified)


def _follow(url: str, target: str) -> str:
    there = follow(url, target)
    if there is None:
        refused = f"it redirects to {redact(target)}, which is refused"
        raise FetchFailed(url, "redirect", refused)
    return there


def _check_alive(answer: _Answer) -> None:
    status = answer.status
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and not answer.line.cut:
        return
    answer.close()
    # Headers that were cut off look like a whole answer.
    refusal = (str(status), f"the server answers {status}; retry later")
    raise FetchFailed(answer.url, *(TOO_SLOW if answer.line.cut else refusal))


def _conditions(known: Received | None) -> dict[str, str]:
    asked = {
        "If-None-Match": known and known.etag,
        "If-Modified-Since": known and known.last_modified,
    }
    return {name: value for name, value in asked.items() if value}
