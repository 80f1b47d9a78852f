"""Look for network devices in every network namespace of this machine that can be asked."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shctl.common.errors import TimedOut
from shctl.common.timeout import within

_PATIENCE = 5.0  # seconds; a namespace takes 0.1 ms
_PROCESSES = Path("/proc")
_NAMED = Path("/run/netns")  # where `ip netns` and container engines put them
_CLONE_NEWNET = 0x40000000  # linux/sched.h


@dataclass(frozen=True)
class Devices:
    """Names of devices; `complete` says that no namespace could hold others."""

    names: frozenset[str]
    complete: bool


def here() -> frozenset[str]:
    """Return the names of the devices in our own namespace; raise OSError."""
    return frozenset(_read(_PROCESSES / "self/net/dev"))


def everywhere() -> Devices:
    """Return the names of the devices in all namespaces that can be asked."""
    look = _Look()
    try:
        # Its thread is left behind in the last namespace that it has entered.
        within(_PATIENCE, look.take, TimedOut("the network namespaces take too long"))
    except (TimedOut, OSError):
        look.complete = False
    return Devices(frozenset(look.names), look.complete)


class _Look:
    """A look into one namespace after another."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        # There is always a process 1. Where it is hidden (proc(5), hidepid), others are too.
        self.complete = os.access(_PROCESSES / "1/net/dev", os.R_OK)

    def take(self) -> None:
        asked: set[int] = set()
        opened: dict[str, Path] = {}
        for process in _numbered(_PROCESSES):
            with self._noting():
                for thread in _numbered(process / "task"):
                    with self._noting():
                        self._ask(thread / "net/dev", asked)
            with self._noting():
                opened.update(_opened(process))
        for namespace in [*_named(), *opened.values()]:
            with self._noting():
                if _enter(namespace):
                    self.names |= _read(_PROCESSES / "thread-self/net/dev")

    def _ask(self, file: Path, asked: set[int]) -> None:
        # It has an inode of its own in each namespace, and needs no rights to be read.
        if (number := file.stat().st_ino) not in asked:
            self.names |= _read(file)
            asked.add(number)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note what cannot be asked, which is another thing than what has gone meanwhile."""
        try:
            yield
        except (FileNotFoundError, ProcessLookupError):
            pass
        except OSError:
            self.complete = False


def _numbered(directory: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        yield from (Path(entry.path) for entry in entries if entry.name.isdecimal())


def _named() -> list[Path]:
    """Return the files that name namespaces, wherever `ip netns` or others have mounted them."""
    mounts = (_PROCESSES / "self/mountinfo").read_text(errors="surrogateescape").splitlines()
    rows = [line.split(" ") for line in mounts if " - nsfs " in line]
    found = [Path(_plain(row[4])) for row in rows if row[3].startswith("net:")]
    with suppress(FileNotFoundError):
        found += _NAMED.iterdir()
    return list(dict.fromkeys(found))


def _plain(path: str) -> str:
    """Return a path in which the kernel has written spaces and the like as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _opened(process: Path) -> dict[str, Path]:
    """Return the namespaces that a process has open, as far as it may be asked."""
    found = {}
    with suppress(PermissionError):
        for descriptor in _numbered(process / "fd"):
            with suppress(FileNotFoundError):
                if (name := str(descriptor.readlink())).startswith("net:["):
                    found[name] = descriptor
    return found


def _enter(namespace: Path) -> bool:
    """Move this thread to another network namespace; return False for a file that is none.

    Raises OSError without the right to do so.
    """
    import ctypes  # os.setns comes with Python 3.12

    descriptor = os.open(namespace, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(descriptor, _CLONE_NEWNET) == 0:
            return True
        number = ctypes.get_errno()
    finally:
        os.close(descriptor)
    if number == errno.EINVAL:
        return False
    raise OSError(number, os.strerror(number), str(namespace))


def _read(file: Path) -> set[str]:
    """Return the names in a file like /proc/net/dev, whose first two lines are a heading."""
    lines = file.read_text(errors="surrogateescape").split("\n")[2:]
    return {line.partition(":")[0].strip(" ") for line in lines} - {""}
