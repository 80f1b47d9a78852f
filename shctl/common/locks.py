"""Locks between all shctl processes and threads of this machine, one for each host, network, ...

flock, because the kernel lets go of it when its holder dies, whatever kills it.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from shctl.common import paths
from shctl.common.errors import Conflict, NoSpace, ShctlError

TIMEOUT = 30.0  # seconds
_INTERVAL = 0.02  # seconds; flock has no time limit of its own


class Busy(Conflict):
    """Somebody else holds the lock."""


class Unlockable(ShctlError):
    """The directory of locks cannot be used; not a Conflict, which stands for somebody's lock."""

    exit_code, status, title = Conflict.exit_code, Conflict.status, Conflict.title


def directory() -> Path:
    """Return the directory of the lock files, made if need be; raise NoSpace or Unlockable."""
    uid = os.getuid()
    path = paths.locks()
    with _explained(path):
        # Others must not be able to put something in its place, whatever the umask.
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _check_own(path.parent, uid)
        path.mkdir(mode=0o700, exist_ok=True)
        _check_own(path, uid)
    return path


def _check_own(path: Path, uid: int) -> None:
    """Raise Unlockable for what somebody else has put where a directory of ours belongs.

    Anybody may write to /tmp; what root has in /run with a wrong mode is for `doctor` to find.
    """
    found = path.lstat()
    writable = bool(uid and found.st_mode & 0o022)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or writable:
        raise Unlockable(
            f"{path} is not a directory that user {uid} alone may write to;"
            " look at whose it is, and remove it"
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else Unlockable
        raise kind(f"cannot lock with {path}: {error.strerror}; make it writable") from error


@contextmanager
def hold(
    kind: str,
    name: str,
    *,
    shared: bool = False,
    timeout: float = TIMEOUT,
    label: str | None = None,
) -> Iterator[None]:
    """Hold the lock of a "host", "network", "pool", ...; raise Busy when that takes too long.

    With `timeout` 0 a lock that is held raises at once. `label` is what people know it by. Lock
    files stay: removing one that somebody waits for would give two holders.
    """
    # Other tools' host names may hold any character, so the file's name is a hash.
    file = directory() / f"{kind}-{sha256(name.encode()).hexdigest()[:24]}"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with _explained(file):
        descriptor = os.open(file, flags, 0o600)
    try:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        with _explained(file):
            _acquire(descriptor, mode, label or f"{kind} {name!r}", timeout)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, mode: int, what: str, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            return fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise Busy(f"another shctl is at work on {what}; try again") from None
        time.sleep(_INTERVAL)
