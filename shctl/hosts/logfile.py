"""Open what consoles are logged to. Any member of group libvirt chooses the path in the XML."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from shctl.common.errors import Conflict

LOGS = Path("/var/log/shctl/console")
# shctl's own, and libvirt's, where <serial type='file'> can be written under its default rules.
_PLACES = (LOGS, Path("/var/log/libvirt"))
_SAFELY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def resolve(path: Path, host: str) -> Path:
    """Return a log's path with its directories resolved; raise Conflict outside of _PLACES."""
    # Not resolve(), which some versions of Python end by RuntimeError where links go round.
    found = Path(os.path.realpath(path.parent)) / path.name
    if not any(found.is_relative_to(os.path.realpath(place)) for place in _PLACES):
        places = " and ".join(map(str, _PLACES))
        raise Conflict(f"the log of host {host!r} is {path}; shctl reads logs below {places} only")
    return found


def open_log(path: Path) -> BinaryIO | None:
    """Open a regular file, None where there is none; raise Conflict for anything else."""
    try:
        # Looked at first: to open some devices does something.
        _check_regular(path, os.lstat(path))
        stream = os.fdopen(os.open(path, _SAFELY), "rb", buffering=0)
    except FileNotFoundError:  # never started yet, or rotated away at this moment
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


def _check_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Conflict(f"cannot read the log {path}: it is not a regular file")
