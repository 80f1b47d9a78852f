"""Read the files of a tree in a local directory, with the results of a fetch from a server."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from shctl.common.errors import InvalidInput
from shctl.install.http.errors import FetchFailed
from shctl.install.http.results import Download, FileResult, Received

_CHUNK = 1 << 20  # bytes


def read(path: Path, url: str, limit: int) -> FileResult:
    """Return the content of a small local file."""
    if not _is_file(path, url):
        return FileResult("missing")
    with _readable(path, url), path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise FetchFailed(url, "too long", f"it is longer than the limit, {limit} bytes")
    return FileResult("found", content)


def peek(path: Path, url: str, size: int) -> FileResult:
    """Return whether a local file exists, and its first `size` bytes."""
    if not _is_file(path, url):
        return FileResult("missing")
    with _readable(path, url), path.open("rb") as stream:
        return FileResult("found", stream.read(size))


@contextmanager
def open_file(path: Path, url: str, known: Received | None) -> Iterator[Download | None]:
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
    """Return whether a regular file exists; raise FetchFailed if that cannot be determined."""
    # ValueError: a NUL in the path.
    with _readable(path, url), suppress(FileNotFoundError, NotADirectoryError, ValueError):
        return stat.S_ISREG(path.stat().st_mode)
    return False


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


@contextmanager
def _readable(path: Path, url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FetchFailed(url, "unreadable", f"{error.strerror}; check {path}") from error
