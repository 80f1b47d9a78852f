"""The kernel and initrd that an installation boots, in a directory of their own for each host."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from shctl.install.files import explained, make_directory

BOOT = Path("/var/lib/shctl/boot")
_FICLONE = 0x40049409  # see ioctl_ficlone(2)


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
    """Give a host a copy of a cached file, that shares its blocks where the file system can.

    Never a second name of the same file: libvirt makes QEMU's user the owner of what it gives to
    QEMU, under all its names. Raise NoSpace, InstallFailed.
    """
    with explained(target), source.open("rb") as cached, target.open("xb") as copy:
        os.fchmod(copy.fileno(), 0o644)
        _copy(cached, copy)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    with suppress(OSError):  # another file system, or one that shares no blocks
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        return
    from shutil import copyfileobj  # 2 ms, for what is seldom needed

    copyfileobj(source, target, 1 << 20)


def remove_boot_files(host: str) -> None:
    """Remove a host's boot files; none being there is fine."""
    path = directory(host)
    if path.exists():
        from shutil import rmtree

        rmtree(path)
