"""Tell files apart by what they are, not by what they are called, and "not there" from "unseen"."""

import errno
import os
import stat
from functools import cache
from pathlib import Path

from shctl.common.errors import Conflict

Identity = tuple[str, int, int] | str
_FORBIDDEN = (errno.EACCES, errno.EPERM)
# What systemd gives a service of its own by PrivateTmp= and PrivateDevices=.
_PRIVATE = ("/tmp/", "/var/tmp/", "/dev/")  # noqa: S108
# What is another file for each process.
_OWN = ("/proc/self/", "/proc/thread-self/", "/dev/fd/", "/dev/fdset/")
_SYS_ADMIN = 21  # CAP_SYS_ADMIN in linux/capability.h, without which nobody mounts anything


class Unreadable(Conflict):
    """It cannot be seen whether a file is there, or what it is."""


def unreadable(path: str | Path, error: Exception) -> Unreadable:
    """Return the failure for a file that could not be looked at."""
    number = error.errno if isinstance(error, OSError) else None
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    remedy = "in a root shell" if number in _FORBIDDEN else "once that is put right"
    return Unreadable(f"cannot look at {path} ({reason}); run the command again {remedy}")


def stat_or_none(path: str | Path, *, follow: bool = True) -> os.stat_result | None:
    """Return what is at a path, None where certainly nothing is; raise Unreadable otherwise."""
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
    """Tell whether this process lacks root's powers, as the service does, which sees less."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as lines:  # noqa: PTH123
            held = next(line for line in lines if line.startswith("CapEff:"))
        return not int(held.split()[1], 16) & 1 << _SYS_ADMIN
    except (OSError, ValueError, StopIteration):
        return True


def exists(path: str | Path) -> bool:
    """Tell whether something is at a path, be it a link to nowhere; raise Unreadable."""
    return stat_or_none(path, follow=False) is not None


def is_regular(path: str | Path) -> bool:
    """Tell whether a regular file is at a path, no link to one; raise Unreadable."""
    facts = stat_or_none(path, follow=False)
    return facts is not None and stat.S_ISREG(facts.st_mode)


def children(directory: str | Path) -> list[Path]:
    """Return what is in a directory, sorted; nothing where there is none. Raises Unreadable."""
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

    What is no absolute path, or is not there, stands for itself. Raises Unreadable.
    """
    if not path.startswith("/"):
        return path
    facts = stat_or_none(path)
    return os.path.realpath(path) if facts is None else identity_of(facts)


def identity_of(facts: os.stat_result) -> Identity:
    """Return the identity of what os.stat has looked at."""
    if stat.S_ISBLK(facts.st_mode):  # many nodes may stand for one device
        return "block", facts.st_rdev, 0
    return "file", facts.st_dev, facts.st_ino
