"""What a server or a local tree gives back."""

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
    """Bounds of one request: seconds and bytes; texts are metadata, images kernel and initrd.

    Probe_total is for all requests of the search for a tree together.
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
class Reply:
    """A status, as HTTP's number or as a word for local files, and the body where there is one."""

    status: int | str
    body: bytes = b""

    @property
    def found(self) -> bool:
        """Tell whether the file exists."""
        return self.status in (200, "found")


@dataclass(frozen=True)
class Received:
    """What a download wrote: its length in bytes, its SHA-256, and the server's validators."""

    length: int
    sha256: str
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Body:
    """A download that has begun: chunks of bytes, their sum where declared, the validators."""

    chunks: Iterator[bytes]
    length: int | None
    etag: str | None = None
    last_modified: str | None = None


class FetchFailed(InstallFailed):
    """A server refused, stalled, broke its word or answered with an error; word says which."""

    def __init__(self, url: str, word: str, reason: str) -> None:
        super().__init__(f"cannot fetch {redact(url)}: {reason}", field="location")
        self.word = word
        self.reason = reason


def read_local(path: Path, url: str, limit: int) -> Reply:
    """Return a small file of a local tree."""
    if not _is_file(path, url):
        return Reply("missing")
    with _readable(path, url), path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise FetchFailed(url, "too long", f"it goes on after the limit, {limit} bytes")
    return Reply("found", content)


def look_local(path: Path, url: str, size: int) -> Reply:
    """Return whether a file of a local tree exists, with its first bytes."""
    if not _is_file(path, url):
        return Reply("missing")
    with _readable(path, url), path.open("rb") as stream:
        return Reply("found", stream.read(size))


@contextmanager
def open_local(path: Path, url: str, known: Received | None) -> Iterator[Body | None]:
    """Yield a file of a local tree, None when it is as known; time and size are its validator."""
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
            yield Body(_pieces(stream), facts.st_size, etag)


def _is_file(path: Path, url: str) -> bool:
    """Tell whether a file is there; raise FetchFailed where that cannot be seen."""
    with _readable(path, url), suppress(FileNotFoundError, NotADirectoryError, ValueError):
        return stat.S_ISREG(path.stat().st_mode)
    return False


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(MIB):
        yield piece


@contextmanager
def _readable(path: Path, url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FetchFailed(url, "unreadable", f"{error.strerror}; check {path}") from error
