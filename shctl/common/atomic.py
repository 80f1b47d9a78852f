"""Write files atomically, readable with any umask."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from shctl.common.errors import InstallFailed, NoSpace

TEMPORARY = ".part"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # EFBIG: file system with a small maximum size


def make_directory(path: Path) -> None:
    """Make path and its missing parents with mode 0755, which QEMU's user can traverse."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o755)  # the umask limits mkdir's own mode


@contextmanager
def write_atomically(target: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Yield a file that replaces target if the block succeeds, and is removed if it fails.

    It is synced to disk before and after it is renamed.
    Raise NoSpace when the file system is full, InstallFailed when it cannot be written.
    """
    from tempfile import mkstemp  # takes 3 ms, which reading does not need

    with write_errors(target):
        # In the same directory, because rename(2) works only within a file system.
        make_directory(target.parent)
        descriptor, name = mkstemp(TEMPORARY, f".{target.name}.", target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, mode)
                yield stream
                stream.flush()
                os.fsync(descriptor)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        # The new name is durable only once its directory is synced, see fsync(2).
        _sync_directory(target.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def write_errors(target: Path) -> Iterator[None]:
    """Translate OSError into NoSpace or InstallFailed, with the name of target."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoSpace(f"no space left while writing {target}; free some and retry") from error
        raise InstallFailed(f"cannot write {target}: {error.strerror or error}") from error
