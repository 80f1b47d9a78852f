"""Open console logs safely: members of group libvirt can put any path into a domain's XML."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from shctl.common import paths
from shctl.common.errors import Conflict

# O_NONBLOCK: opening a FIFO must not block. O_NOCTTY: nor may a terminal become this process's.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def resolve(path: Path, host: str) -> Path:
    """Return a log's path, its directory resolved; raise Conflict outside of the allowed ones."""
    # shctl's own, and the one where libvirt's default rules allow <serial type='file'>.
    directories = (paths.console_logs(), paths.libvirt_logs())
    # Not Path.resolve(), which raises RuntimeError for symbolic link loops before Python 3.13.
    resolved = Path(os.path.realpath(path.parent)) / path.name
    if not any(resolved.is_relative_to(os.path.realpath(allowed)) for allowed in directories):
        allowed = " and ".join(map(str, directories))
        raise Conflict(f"the log of host {host!r} is {path}; shctl reads logs only below {allowed}")
    return resolved


def open_log(path: Path) -> BinaryIO | None:
    """Open a regular file, return None if it does not exist; raise Conflict for anything else."""
    try:
        # Before opening as well: opening some devices has side effects.
        _check_regular(path, os.lstat(path))
        stream = os.fdopen(os.open(path, _FLAGS), "rb", buffering=0)
    except FileNotFoundError:  # the host never ran, or the log is just being rotated
        return None
    except OSError as error:
        reason = "a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise Conflict(f"cannot read the log {path}: {reason}") from error
    try:
        _check_regular(path, os.fstat(stream.fileno()))
    except Conflict:
        stream.close()
        raise
    return stream


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Conflict(f"cannot read the log {path}: it is not a regular file")
