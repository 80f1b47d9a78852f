"""Read, follow and remove the log of a host's serial console.

virtlogd writes the log, and rotates it: NAME.log is the newest part, NAME.log.0 the one before, and
so on. Control characters of the guest are replaced unless the caller asks for the raw log.
"""

import os
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Self

from shctl.common import files, names, paths
from shctl.common.atomic import FULL
from shctl.common.errors import Conflict, NoSpace, NotFound, Unreachable
from shctl.common.stream import Stream
from shctl.hosts import logfile
from shctl.hosts.log_view import View, show
from shctl.hypervisor.connection import Hypervisor
from shctl.xml import domain

_INTERVAL = 0.1  # seconds between reads of a log that is followed
_CHUNK = 2**16  # bytes
_MAX_PIECES = 64  # at once


class LogStream(Stream[str | bytes]):
    """A log that is followed."""

    interval = _INTERVAL
    blocks = True

    def __init__(self, pieces: Generator[str | bytes, None, None]) -> None:
        self._pieces = pieces
        self._lock = threading.Lock()

    def take(self) -> list[str | bytes] | None:
        """Return what was written since the last call; None once the host is deleted."""
        with self._lock:
            return self._take()

    def _take(self) -> list[str | bytes] | None:
        found: list[str | bytes] = []
        for piece in self._pieces:
            # An empty piece says that there is nothing more yet.
            if not piece:
                return found
            found.append(piece)
            if len(found) >= _MAX_PIECES:
                return found
        return found or None

    def close(self) -> None:
        """Close the log's files, once take() has returned in another thread."""
        with self._lock:
            self._pieces.close()


def log_path(host: str) -> Path:
    """Return the log's path for a host that shctl creates.

    Raise InvalidInput for a name that is a path to somewhere else.
    """
    return paths.console_logs() / f"{names.file_name(host)}.log"


def prepare_log(path: Path) -> None:
    """Make the log's directory and remove older logs of the name.

    Only root can enter the directory, since installers print passwords.
    """
    with _translated(path, "prepare"):
        path.parent.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _remove_parts(path)


def remove_log(path: Path) -> None:
    """Remove a log with its rotated parts; raise Conflict, NoSpace."""
    with _translated(path, "remove"):
        _remove_parts(path)


def has_log(path: Path) -> bool:
    """Return whether there is a log, or a rotated part of one; raise Unreadable."""
    return any(map(files.exists, _parts(path)))


def _remove_parts(path: Path) -> None:
    for part in _parts(path):
        part.unlink(missing_ok=True)


@contextmanager
def _translated(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = NoSpace if error.errno in FULL else Conflict
        raise kind(f"cannot {verb} the console log {path}: {error.strerror}") from error


def _parts(path: Path) -> list[Path]:
    """Return the log's parts, oldest first: the highest number is the oldest."""
    # Only a number may follow: web.log.log.0 belongs to host web.log, not to web.
    rotated = re.compile(re.escape(path.name) + r"\.[0-9]+")
    older = [part for part in files.children(path.parent) if rotated.fullmatch(part.name)]
    older.sort(key=lambda part: int(part.suffix[1:]), reverse=True)
    return [*older, path]


def read_log(hypervisor: Hypervisor, name: str, view: View) -> Iterator[str | bytes]:
    """Yield the newest 16 MiB of a host's console log in chunks.

    Raise NotFound, and Conflict if the console is not logged to a file that shctl may read.
    """
    return show(_read(_configured_path(hypervisor, name), view.maximum), view)


def newest(path: Path, maximum: int) -> bytes:
    """Return the last `maximum` bytes of a log with its rotated parts; raise Conflict."""
    return b"".join(_read(path, maximum))[-maximum:]


def follow_log(hypervisor: Hypervisor, name: str, view: View) -> LogStream:
    """Return the log and then what is appended to it, through reboots, until the host is deleted.

    Raise what read_log raises.
    """
    path = _configured_path(hypervisor, name)
    return LogStream(_followed(hypervisor, name, path, view))


def _configured_path(hypervisor: Hypervisor, name: str) -> Path:
    """Return the log's path from the domain's XML."""
    path = domain.read(hypervisor.domain(name).xml()).console
    if path is None:
        raise Conflict(f"the serial console of host {name!r} is not logged to a file")
    return logfile.resolve(Path(path), name)


def _open_parts(path: Path) -> list[BinaryIO]:
    """Open all parts, oldest first, in a consistent state: not in the middle of a rotation."""
    while True:
        streams = [stream for part in _parts(path) if (stream := logfile.open_log(part))]
        # A rotation renames the files; an open file keeps its inode.
        inodes = [inode for part in _parts(path) if (inode := _inode_at(part))]
        if [_inode(stream) for stream in streams] == inodes:
            return streams
        for stream in streams:
            stream.close()


def _inode(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_ino


def _inode_at(path: Path) -> int | None:
    with suppress(FileNotFoundError):
        return path.stat().st_ino
    return None


def _read_new(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what was appended to a part since it was read."""
    if os.fstat(stream.fileno()).st_size < stream.tell():  # the file was truncated
        stream.seek(0)
    while chunk := stream.read(_CHUNK):
        yield chunk


def _read_newest(streams: list[BinaryIO], maximum: int) -> Iterator[bytes]:
    """Yield the last `maximum` bytes of the parts, after a note if more bytes were skipped."""
    sizes = [os.fstat(stream.fileno()).st_size for stream in streams]
    surplus = max(sum(sizes) - maximum, 0)
    if surplus:
        yield f"[shctl: {surplus} earlier bytes omitted]\n".encode()
    for stream, size in zip(streams, sizes, strict=True):
        skipped = min(surplus, size)
        surplus -= skipped
        stream.seek(skipped)
        yield from _read_bytes(stream, size - skipped)


def _read_bytes(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (chunk := stream.read(min(size, _CHUNK))):
        size -= len(chunk)
        yield chunk


def _read(path: Path, maximum: int) -> Iterator[bytes]:
    with ExitStack() as stack:
        streams = [stack.enter_context(part) for part in _open_parts(path)]
        yield from _read_newest(streams, maximum)


def _followed(
    hypervisor: Hypervisor, name: str, path: Path, view: View
) -> Generator[str | bytes, None, None]:
    with _Parts(path) as parts:
        yield from show(_read_newest(parts.streams, view.maximum), view)
        later = _appended(hypervisor, name, parts)
        yield from show(later, replace(view, tail=None, since_boot=False))


class _Parts:
    """The open parts of a log that is followed: those that the guest may still write to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.streams = _open_parts(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self.streams:
            stream.close()

    def rotate(self) -> bool:
        """Open parts that are newer, and return whether there are any."""
        newer = _newer_parts(self._path, self.streams)
        if newer:
            # The last part is read once more: it may have grown before it was renamed.
            for stream in self.streams[:-1]:
                stream.close()
            self.streams = [*self.streams[-1:], *newer]
        return bool(newer)


def _appended(hypervisor: Hypervisor, name: str, parts: _Parts) -> Iterator[bytes]:
    """Yield what is appended to the parts until the host is deleted; b"" if there is nothing."""
    while True:
        # Checked before the read: the guest may write until the host is deleted.
        deleted = not _exists(hypervisor, name)
        for stream in parts.streams:
            yield from _read_new(stream)
        if parts.rotate():
            continue
        if deleted:
            return
        yield b""


def _newer_parts(path: Path, streams: list[BinaryIO]) -> list[BinaryIO]:
    """Open the parts that are newer than `streams`; return [] if there is none."""
    known = {_inode(stream) for stream in streams}
    if _inode_at(path) in {None, *known}:
        return []
    parts = _open_parts(path)
    inodes = [_inode(part) for part in parts]
    last = max((i for i, inode in enumerate(inodes) if inode in known), default=-1)
    for part in parts[: last + 1]:
        part.close()
    return parts[last + 1 :]


def _exists(hypervisor: Hypervisor, name: str) -> bool:
    try:
        hypervisor.domain(name)
    except NotFound:
        return False
    except Unreachable:  # libvirtd may be restarting; the guest and its log go on
        return True
    return True
