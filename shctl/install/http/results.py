"""What fetching from a server or a local tree returns, and the limits and errors of a fetch."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shctl.common.errors import InstallFailed, InvalidInput
from shctl.install.http.urls import redact

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of one request, in seconds and bytes.

    `text` is for small files such as .treeinfo, `image` for kernel and initrd; `probe_total` is
    for all requests of a probe together.
    """

    connect: float = 10
    stall: float = 30
    text_total: float = 60
    probe_total: float = 300
    image_total: float = 3600
    text_bytes: int = 4 * MIB
    image_bytes: int = 1024 * MIB
    redirects: int = 5


@dataclass(frozen=True)
class FileResult:
    """The content of a small file, or the start of a large one.

    `status` is HTTP's, or a few words: of a local file, or what is wrong with the content.
    """

    status: int | str
    body: bytes = b""

    @property
    def found(self) -> bool:
        """Tell whether the file exists and its content is as expected."""
        return self.status in (200, "found")


@dataclass(frozen=True)
class Received:
    """What a download wrote: length in bytes, SHA-256, and HTTP's validators (RFC 9110)."""

    length: int
    sha256: str
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Download:
    """A download in progress: the chunks, the declared length in bytes, and the validators."""

    chunks: Iterator[bytes]
    length: int | None
    etag: str | None = None
    last_modified: str | None = None


class FetchFailed(InstallFailed):
    """A file could not be fetched; `summary` is the HTTP status or a few words.

    `reason` is the message without the URL.
    """

    def __init__(self, url: str, summary: str, reason: str) -> None:
        super().__init__(f"cannot fetch {redact(url)}: {reason}", field="location")
        self.summary = summary
        self.reason = reason


def read_local(path: Path, url: str, limit: int) -> FileResult:
    """Return the content of a small local file."""
    if not _is_file(path, url):
        return FileResult("missing")
    with _readable(path, url), path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise FetchFailed(url, "too long", f"it is longer than the limit, {limit} bytes")
    return FileResult("found", content)


def peek_local(path: Path, url: str, size: int) -> FileResult:
    """Return whether a local file exists, and its first `size` bytes."""
    if not _is_file(path, url):
        return FileResult("missing")
    with _readable(path, url), path.open("rb") as stream:
        return FileResult("found", stream.read(size))


@contextmanager
def open_local(path: Path, url: str, known: Received | None) -> Iterator[Download | None]:
    """Yield a local file, None if it is unchanged since `known`, by its time and size."""
    if not _is_file(path, url):
        raise InvalidInput(f"{url} does not exist; check the location", field="location")
    with _readable(path, url):
        stream = path.open("rb")
    with stream:
        facts = path.stat()
        etag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
        if known and known.etag == etag:
            yield None
        else:
            yield Download(_chunks(stream), facts.st_size, etag)


def _is_file(path: Path, url: str) -> bool:
    """Tell whether a regular file exists; raise FetchFailed if that cannot be determined."""
    # ValueError: a NUL in the path.
    with _readable(path, url), suppress(FileNotFoundError, NotADirectoryError, ValueError):
        return stat.S_ISREG(path.stat().st_mode)
    return False


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(MIB):
        yield chunk


@contextmanager
def _readable(path: Path, url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FetchFailed(url, "unreadable", f"{error.strerror}; check {path}") from error
