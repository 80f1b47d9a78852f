"""Identify files by device and inode, and distinguish missing files from unreadable ones."""

import errno
import os
import stat
from functools import cache
from pathlib import Path

from shctl.common.errors import Conflict

Identity = tuple[str, int, int] | str
_FORBIDDEN = (errno.EACCES, errno.EPERM)
# A service with PrivateTmp= and PrivateDevices= has its own, see systemd.exec(5).
_PRIVATE = ("/tmp/", "/var/tmp/", "/dev/")  # noqa: S108
# Different files for each process.
_OWN = ("/proc/self/", "/proc/thread-self/", "/dev/fd/", "/dev/fdset/")
_SYS_ADMIN = 21  # CAP_SYS_ADMIN in linux/capability.h, which mounting requires


class Unreadable(Conflict):
    """It cannot be determined whether a file exists, or which one it is."""


def unreadable(path: str | Path, error: Exception) -> Unreadable:
    """Return the error for a file whose status cannot be read."""
    number = error.errno if isinstance(error, OSError) else None
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    remedy = "in a root shell" if number in _FORBIDDEN else "once that is fixed"
    return Unreadable(f"cannot check {path} ({reason}); run the command again {remedy}")


def stat_or_none(path: str | Path, *, follow: bool = True) -> os.stat_result | None:
    """Return the status of a file, None if it certainly does not exist; raise Unreadable."""
    if os.path.normpath(path).startswith(_OWN):
        raise unreadable(path, OSError(0, "each process has its own"))
    try:
        return Path(path).stat(follow_symlinks=follow)
    except FileNotFoundError as error:
        if _is_confined() and os.path.realpath(path).startswith(_PRIVATE):
            raise unreadable(
                path, PermissionError(errno.EACCES, "the service has its own")
            ) from error
        return None
    except (OSError, ValueError) as error:  # ValueError: a name that no path can be
        raise unreadable(path, error) from error


@cache
def _is_confined() -> bool:
    """Return whether this process lacks CAP_SYS_ADMIN, as the service does; it sees fewer files."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as lines:  # noqa: PTH123
            held = next(line for line in lines if line.startswith("CapEff:"))
        return not int(held.split()[1], 16) & 1 << _SYS_ADMIN
    except (OSError, ValueError, StopIteration):
        return True


def exists(path: str | Path) -> bool:
    """Return whether a path exists, even as a dangling symbolic link; raise Unreadable."""
    return stat_or_none(path, follow=False) is not None


def is_regular(path: str | Path) -> bool:
    """Return whether a path is a regular file, not a link to one; raise Unreadable."""
    facts = stat_or_none(path, follow=False)
    return facts is not None and stat.S_ISREG(facts.st_mode)


def children(directory: str | Path) -> list[Path]:
    """Return a directory's entries, sorted; none if it does not exist. Raise Unreadable."""
    if _is_confined() and f"{os.path.realpath(directory)}/".startswith(_PRIVATE):
        raise unreadable(directory, PermissionError(errno.EACCES, "the service has its own"))
    try:
        return sorted(Path(directory, name) for name in os.listdir(directory))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise unreadable(directory, error) from error


def identity(path: str) -> Identity:
    """Return what all paths of one file or block device have in common, links included.

    A relative path identifies itself, as does a file that does not exist. Raise Unreadable.
    """
    if not path.startswith("/"):
        return path
    facts = stat_or_none(path)
    return os.path.realpath(path) if facts is None else identity_of(facts)


def identity_of(facts: os.stat_result) -> Identity:
    """Return the identity of a file from its status."""
    if stat.S_ISBLK(facts.st_mode):  # a device can have several nodes
        return "block", facts.st_rdev, 0
    return "file", facts.st_dev, facts.st_ino
