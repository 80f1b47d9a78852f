"""The serial console's log: where it is, how to read and follow it, how to remove it.

What a guest wrote is shown with control characters replaced, unless somebody wants it raw.
"""

import os
import re
import time
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import IncrementalNewlineDecoder
from pathlib import Path
from typing import BinaryIO

from shctl.common import files, names
from shctl.common.atomic import FULL
from shctl.common.errors import Conflict, InvalidInput, NoSpace, NotFound, Unreachable
from shctl.common.text import clean_lines
from shctl.hosts import logfile
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.xml import disks, domain

LOGS = logfile.LOGS
MOST = 16 * 2**20  # bytes, twice what virtlogd keeps of a log
_INTERVAL = 0.1  # seconds
_CHUNK = 2**16  # bytes
_STORED, _RUNNING = Path("/etc/libvirt/qemu"), Path("/run/libvirt/qemu")
_LONGEST = 4 * 2**20  # bytes; a host's file has some 20,000


def log_path(host: str) -> Path:
    """Return where the serial console of a host of ours is logged.

    Raises InvalidInput for a name that would lead elsewhere.
    """
    return LOGS / f"{names.file_name(host)}.log"


def prepare_log(path: Path) -> None:
    """Make room for a log that only root reads, since installers print passwords."""
    with _explained(path, "make room for"):
        path.parent.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _remove_parts(path)


def written(hypervisor: Hypervisor) -> set[str]:
    """Return the names of all files that hosts may write to, wherever these are."""
    found: set[str] = set()
    for host in hypervisor.domains():
        with suppress(NotFound):  # a host that went in the meantime
            found.update(*map(_files, _texts(host)))
    return found


def _files(xml: str) -> set[str]:
    return {Path(path).name for path in disks.other_files(domain.parse(xml))}


def _texts(host: Domain) -> set[str]:
    """Return a host's XML as it is stored, and as it runs."""
    return {host.xml(stored=True), host.xml()}


def remove_log(path: Path) -> None:
    """Remove a log with the older parts that virtlogd has rotated away; raise Conflict, NoSpace."""
    with _explained(path, "remove"):
        _remove_parts(path)


def may_log_to(path: Path, host: Domain) -> bool:
    """Tell whether a host may write to a log; only False is certain."""
    with suppress(NotFound):  # a host that went in the meantime
        if host.hung:
            return _may_be_in_files(host.name, path.name)
        return any(_mentions(xml, path.name) for xml in _texts(host))
    return False


def _may_be_in_files(host: str, file: str) -> bool:
    """Tell whether libvirt's files about a hung host may hold the name of a file.

    The host's XML would wait for its QEMU. libvirt writes one file when it stores a host and one
    while it runs (virDomainObjSave in src/conf/domain_conf.c).
    """
    try:
        name = f"{names.file_name(host)}.xml"
        texts = [_begin_of(_RUNNING / name)]
        with suppress(FileNotFoundError):  # a transient host is not stored
            texts.append(_begin_of(_STORED / name))
    except (OSError, InvalidInput):
        return True
    return any(len(text) > _LONGEST or file.encode() in text for text in texts)


def _begin_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_LONGEST + 1)


def _mentions(xml: str, file: str) -> bool:
    return domain.mentions(xml, file) and file in _files(xml)


def _remove_parts(path: Path) -> None:
    for part in _parts(path):
        part.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = NoSpace if error.errno in FULL else Conflict
        raise kind(f"cannot {verb} the console's log {path}: {error.strerror}") from error


def _parts(path: Path) -> list[Path]:
    """Return the log's parts, oldest first: virtlogd counts up from .0 as they age."""
    # Only a number may follow: web.log.log.0 belongs to the host web.log, not to web.
    rotated = re.compile(re.escape(path.name) + r"\.[0-9]+")
    older = [part for part in files.children(path.parent) if rotated.fullmatch(part.name)]
    older.sort(key=lambda part: int(part.suffix[1:]), reverse=True)
    return [*older, path]


def read_log(hypervisor: Hypervisor, name: str, *, raw: bool = False) -> Iterator[str | bytes]:
    """Return the newest 16 MiB of the log of a host's serial console in pieces.

    Raises NotFound, and Conflict for a host whose console is not logged where shctl reads.
    """
    pieces = _read(_logged(hypervisor, name))
    return pieces if raw else _shown(pieces)


def follow_log(hypervisor: Hypervisor, name: str, *, raw: bool = False) -> Iterator[str | bytes]:
    """Return the log and then what comes to it, through reboots, until the host is deleted.

    Raises as read_log does.
    """
    path = _logged(hypervisor, name)
    pieces = _follow(hypervisor, name, path)
    return pieces if raw else _shown(pieces)


def _logged(hypervisor: Hypervisor, name: str) -> Path:
    logged = domain.read(hypervisor.domain(name).xml()).console
    if logged is None:
        raise Conflict(f"the serial console of host {name!r} is not logged to a file")
    return logfile.resolve(Path(logged), name)


def _shown(pieces: Iterable[bytes]) -> Iterator[str]:
    """Return what a terminal can be shown; a carriage return becomes a line feed."""
    decoder = IncrementalNewlineDecoder(getincrementaldecoder("utf-8")("replace"), translate=True)
    for piece in pieces:
        yield clean_lines(decoder.decode(piece))
    yield clean_lines(decoder.decode(b"", final=True))


def _open_parts(path: Path) -> list[BinaryIO]:
    """Return all parts open, oldest first, as they were at one moment."""
    while True:
        streams = [stream for part in _parts(path) if (stream := logfile.open_log(part))]
        # A rotation renames all of them; an open file stays what it is.
        if [_inode(stream) for stream in streams] == [*filter(None, map(_inode_at, _parts(path)))]:
            return streams
        for stream in streams:
            stream.close()


def _inode(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_ino


def _inode_at(path: Path) -> int | None:
    with suppress(FileNotFoundError):
        return path.stat().st_ino
    return None


def _drain(stream: BinaryIO) -> Iterator[bytes]:
    if os.fstat(stream.fileno()).st_size < stream.tell():  # somebody has emptied it
        stream.seek(0)
    while piece := stream.read(_CHUNK):
        yield piece


def _newest(streams: list[BinaryIO]) -> Iterator[bytes]:
    """Return the end of what the parts hold now, and how much stands before it."""
    sizes = [os.fstat(stream.fileno()).st_size for stream in streams]
    surplus = max(sum(sizes) - MOST, 0)
    if surplus:
        yield f"[shctl: {surplus} bytes that stand before this are left out]\n".encode()
    for stream, size in zip(streams, sizes, strict=True):
        skipped = min(surplus, size)
        surplus -= skipped
        stream.seek(skipped)
        yield from _take(stream, size - skipped)


def _take(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (piece := stream.read(min(size, _CHUNK))):
        size -= len(piece)
        yield piece


def _read(path: Path) -> Iterator[bytes]:
    with ExitStack() as opened:
        yield from _newest([opened.enter_context(part) for part in _open_parts(path)])


def _follow(hypervisor: Hypervisor, name: str, path: Path) -> Iterator[bytes]:
    with ExitStack() as opened:
        streams = [opened.enter_context(part) for part in _open_parts(path)]
        yield from _newest(streams)
        while True:
            # Asked before the read, so that the last words are not missed.
            gone = not _exists(hypervisor, name)
            for stream in streams:
                yield from _drain(stream)
            if newer := _newer_parts(path, streams):
                # The last one may have got more before it was renamed.
                streams = [*streams[-1:], *map(opened.enter_context, newer)]
            elif gone:
                return
            else:
                time.sleep(_INTERVAL)


def _newer_parts(path: Path, streams: list[BinaryIO]) -> list[BinaryIO]:
    """Return the parts that have come since the last of these was the newest, open."""
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
    except Unreachable:  # libvirt is away; the guest and its log go on
        return True
    return True
