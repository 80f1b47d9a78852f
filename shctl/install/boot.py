"""The kernel and initrd that an installation boots, in a directory of their own for each host."""

import errno
import os
from pathlib import Path

from shctl.errors import NoSpace
from shctl.install.files import make_directory

BOOT = Path("/var/lib/shctl/boot")


def directory(host: str) -> Path:
    """Return the directory of a host's boot files, which need not exist."""
    return BOOT / host


def make_boot_directory(host: str) -> Path:
    """Make an empty directory that QEMU's user can pass through, and return it."""
    path = directory(host)
    remove_boot_files(host)
    make_directory(path)
    return path


def place(source: Path, target: Path) -> None:
    """Give a cached file a second name, so that it outlives its place in the cache."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
            raise
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    from shutil import copyfile  # 2 ms, for what is seldom needed

    try:
        copyfile(source, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoSpace(f"no space for {target}") from error
        raise
    target.chmod(0o644)


def remove_boot_files(host: str) -> None:
    """Remove a host's boot files; none being there is fine."""
    path = directory(host)
    if path.exists():
        from shutil import rmtree

        rmtree(path)
