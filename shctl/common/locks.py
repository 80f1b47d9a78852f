"""Locks between all shctl processes and threads on this machine, one for each host, network, ...

flock, because the kernel releases it when the process that holds it dies.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from shctl.common import paths
from shctl.common.errors import Conflict, NoSpace, ShctlError

TIMEOUT = 30.0  # seconds
_INTERVAL = 0.02  # seconds; flock has no time limit of its own


class Busy(Conflict):
    """Another process or thread holds the lock."""

    code = "busy"


class Unlockable(ShctlError):
    """The directory of locks cannot be used; not a Conflict, which means that a lock is held."""

    exit_code, status, title = Conflict.exit_code, Conflict.status, Conflict.title
    code = "cannot_lock"


def directory() -> Path:
    """Return the directory of the lock files, created if necessary; raise NoSpace or Unlockable."""
    uid = os.getuid()
    path = paths.locks()
    with _explained(path):
        # With explicit modes: other users must not be able to replace it.
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _check_own(path.parent, uid)
        path.mkdir(mode=0o700, exist_ok=True)
        _check_own(path, uid)
    return path


def _check_own(path: Path, uid: int) -> None:
    """Raise Unlockable unless a path is a directory of this user, without links.

    Any user may write to /tmp. For root, `doctor` reports a wrong mode of the directory in /run.
    """
    found = path.lstat()
    writable = bool(uid and found.st_mode & 0o022)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or writable:
        raise Unlockable(
            f"{path} is not a directory that only user {uid} can write to;"
            " check its owner, and remove it"
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
    before_wait: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Hold the lock of a "host", "network", "pool", ...; raise Busy after `timeout` seconds.

    With `timeout` 0 a lock that is held raises at once. `label` names the lock in errors.
    `before_wait` is called once if another one holds it; what it raises ends the attempt. Lock
    files are never removed: two processes could each lock a different file of the same name.
    """
    # Host names of other tools may contain any character, so the file's name is a hash.
    file = directory() / f"{kind}-{sha256(name.encode()).hexdigest()[:24]}"
    # O_NOFOLLOW: a link would let another file be created.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with _explained(file):
        descriptor = os.open(file, flags, 0o600)
    try:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        with _explained(file):
            acquired = _try(descriptor, mode)
        if not acquired:
            before_wait()
            with _explained(file):
                _wait(descriptor, mode, label or f"{kind} {name!r}", timeout)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, mode: int, what: str, timeout: float) -> None:
    end = time.monotonic() + timeout
    while not _try(descriptor, mode):
        if time.monotonic() >= end:
            raise Busy(f"another shctl process is working on {what}; try again")
        time.sleep(_INTERVAL)


def _try(descriptor: int, mode: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        return True
    return False
