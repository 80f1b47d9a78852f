"""The serial console's log: where it is, how to read and follow it, how to remove it."""

import time
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shctl import domain
from shctl.errors import Conflict
from shctl.hypervisor import Hypervisor

LOGS = Path("/var/log/shctl/console")
_INTERVAL = 0.1  # seconds
_CHUNK = 2**16  # bytes


def log_path(host: str) -> Path:
    """Return where the serial console of a host of ours is logged."""
    return LOGS / f"{host}.log"


def prepare_log(path: Path) -> None:
    """Make room for a log that only root reads, since installers print passwords."""
    path.parent.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    remove_log(path)


def remove_log(path: Path) -> None:
    """Remove a log with the older parts that virtlogd has rotated away."""
    for part in _parts(path):
        part.unlink(missing_ok=True)


def _parts(path: Path) -> list[Path]:
    """Return the log's parts, oldest first: virtlogd counts up from .0 as they age."""
    older = [p for p in path.parent.glob(f"{path.name}.*") if p.suffix[1:].isdecimal()]
    older.sort(key=lambda part: int(part.suffix[1:]), reverse=True)
    return [*older, path]


def read_log(hypervisor: Hypervisor, name: str) -> Iterator[str]:
    """Return the whole log of a host's serial console in pieces.

    Raises NotFound, and Conflict for a host whose console is not logged.
    """
    path = _logged(hypervisor, name)
    return _decoded(piece for part in _parts(path) for piece in _drain(part))


def follow_log(hypervisor: Hypervisor, name: str) -> Iterator[str]:
    """Return the log and then what comes to it, through reboots, until the host is deleted.

    Raises as read_log does.
    """
    path = _logged(hypervisor, name)
    return _decoded(_follow(hypervisor, name, path))


def _logged(hypervisor: Hypervisor, name: str) -> Path:
    logged = domain.read(hypervisor.domain(name).xml()).console
    if logged is None:
        raise Conflict(f"the serial console of host {name!r} is not logged to a file")
    return Path(logged)


def _decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        yield decoder.decode(piece)


def _drain(part: Path) -> Iterator[bytes]:
    try:
        with part.open("rb") as stream:
            while piece := stream.read(_CHUNK):
                yield piece
    except FileNotFoundError:
        return  # never started yet, or rotated away at this moment


def _follow(hypervisor: Hypervisor, name: str, path: Path) -> Iterator[bytes]:
    for part in _parts(path)[:-1]:
        yield from _drain(part)
    tail = _Tail(path)
    while True:
        # Asked before the read, so that the last words are not missed.
        gone = not any(host.name == name for host in hypervisor.hosts())
        if piece := tail.read():
            yield piece
        elif gone:
            return
        else:
            time.sleep(_INTERVAL)


@dataclass
class _Tail:
    """A place in a file that grows, and that another file of its name may replace."""

    path: Path
    position: int = 0
    inode: int = 0

    def read(self) -> bytes:
        """Return the next bytes, none if there are none yet."""
        try:
            with self.path.open("rb") as stream:
                status = self.path.stat()
                if status.st_ino != self.inode or status.st_size < self.position:
                    self.position, self.inode = 0, status.st_ino
                stream.seek(self.position)
                piece = stream.read(_CHUNK)
        except FileNotFoundError:
            return b""
        self.position += len(piece)
        return piece
