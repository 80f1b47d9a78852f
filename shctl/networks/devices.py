"""Find the network devices of all network namespaces on this machine.

A device may be in a namespace where neither libvirt nor Open vSwitch lists it.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shctl.common import paths
from shctl.common.errors import TimedOut
from shctl.common.timeout import run_with_timeout

_TIMEOUT = 5.0  # seconds; a namespace takes 0.1 ms
_PROC = Path("/proc")
_CLONE_NEWNET = 0x40000000  # linux/sched.h


@dataclass(frozen=True)
class Devices:
    """Names of devices; `complete` means that every namespace was read."""

    names: frozenset[str]
    complete: bool


def here() -> frozenset[str]:
    """Return the names of the devices in this process's namespace; raise OSError."""
    return frozenset(_read_names(_PROC / "self/net/dev"))


def everywhere() -> Devices:
    """Return the names of the devices in all namespaces that this process can read.

    Reading other namespaces needs root; without it the result is incomplete.
    """
    scan = _Scan()
    try:
        # In a thread of its own: setns changes the namespace of the calling thread only, and this
        # one must stay in its own.
        run_with_timeout(
            _TIMEOUT, scan.run, TimedOut("reading the network namespaces takes too long")
        )
    except (TimedOut, OSError):
        scan.complete = False
    return Devices(frozenset(scan.names), scan.complete)


class _Scan:
    """A scan of one namespace after another."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        # Process 1 always exists. If it is hidden (proc(5), hidepid), others are hidden too.
        self.complete = os.access(_PROC / "1/net/dev", os.R_OK)

    def run(self) -> None:
        """Read the namespaces of all processes, then those that have only a file."""
        seen: set[int] = set()
        opened: dict[str, Path] = {}
        for process in _numbered(_PROC):
            with self._noting_errors():
                for thread in _numbered(process / "task"):
                    with self._noting_errors():
                        self._read(thread / "net/dev", seen)
            with self._noting_errors():
                opened.update(_open_namespaces(process))
        for namespace in [*_mounted(), *opened.values()]:
            with self._noting_errors():
                if _enter(namespace):
                    self.names |= _read_names(_PROC / "thread-self/net/dev")

    def _read(self, file: Path, seen: set[int]) -> None:
        # Any user may read it. Each namespace has its own inode, shared by all its processes.
        if (number := file.stat().st_ino) not in seen:
            self.names |= _read_names(file)
            seen.add(number)

    @contextmanager
    def _noting_errors(self) -> Iterator[None]:
        """Clear `complete` when something cannot be read; what no longer exists is skipped."""
        try:
            yield
        except (FileNotFoundError, ProcessLookupError):
            pass
        except OSError:
            self.complete = False


def _numbered(directory: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        yield from (Path(entry.path) for entry in entries if entry.name.isdecimal())


def _mounted() -> list[Path]:
    """Return the files of mounted namespaces, by `ip netns` or other programs."""
    mounts = (_PROC / "self/mountinfo").read_text(errors="surrogateescape").splitlines()
    rows = [line.split(" ") for line in mounts if " - nsfs " in line]
    found = [Path(_unescape(row[4])) for row in rows if row[3].startswith("net:")]
    with suppress(FileNotFoundError):
        found += paths.network_namespaces().iterdir()
    return list(dict.fromkeys(found))


def _unescape(path: str) -> str:
    """Decode the octal escapes of mountinfo (proc(5)), such as that of a space."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _open_namespaces(process: Path) -> dict[str, Path]:
    """Return the network namespaces that a process holds open, by name such as net:[4026531840]."""
    found = {}
    with suppress(PermissionError):
        for descriptor in _numbered(process / "fd"):
            with suppress(FileNotFoundError):
                if (name := str(descriptor.readlink())).startswith("net:["):
                    found[name] = descriptor
    return found


def _enter(namespace: Path) -> bool:
    """Move this thread to another network namespace; return False if the file is not one.

    Raises OSError without CAP_SYS_ADMIN (setns(2)).
    """
    import ctypes  # os.setns exists from Python 3.12 on

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


def _read_names(file: Path) -> set[str]:
    """Return the device names in a file like /proc/net/dev, after its two heading lines."""
    lines = file.read_text(errors="surrogateescape").split("\n")[2:]
    return {line.partition(":")[0].strip(" ") for line in lines} - {""}
