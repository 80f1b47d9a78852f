"""The kernel and initrd that an installation boots, in a directory of their own for each host."""

import fcntl
import os
import re
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from shctl.common import files, names
from shctl.common.atomic import TEMPORARY, make_directory, write_errors
from shctl.common.errors import Conflict, ShctlError
from shctl.hypervisor.ownership import Owner

BOOT = Path("/var/lib/shctl/boot")
# What stage() writes, and what an initrd is written to before it takes its name.
_OURS = re.compile(rf"kernel|initrd|\.initrd\..+{re.escape(TEMPORARY)}")
_FICLONE = 0x40049409  # see ioctl_ficlone(2)


def directory(host: str) -> Path:
    """Return the directory of a host's boot files, which need not exist.

    Raises InvalidInput for a name that would lead elsewhere.
    """
    return BOOT / names.file_name(host)


def make_boot_directory(host: str) -> Path:
    """Make an empty directory that QEMU's user can pass through, and return it."""
    path = directory(host)
    remove_boot_files(host)
    if files.exists(path):
        raise Conflict(f"{path} holds other files than an installation's; move them away")
    make_directory(path)
    return path


def place(source: Path, target: Path) -> None:
    """Give a host a copy of a cached file, that shares its blocks where the file system can.

    Never a second name of the same file: libvirt makes QEMU's user the owner of what it gives to
    QEMU, under all its names. Raise NoSpace, InstallFailed.
    """
    with write_errors(target), source.open("rb") as cached, target.open("xb") as copy:
        os.fchmod(copy.fileno(), 0o644)
        _copy(cached, copy)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    with suppress(OSError):  # another file system, or one that shares no blocks
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        return
    from shutil import copyfileobj  # 2 ms, for what is seldom needed

    copyfileobj(source, target, 1 << 20)


def give(path: Path, owner: Owner) -> None:
    """Let QEMU's user read a file that nobody else may read; raise Conflict where that fails.

    Root gives it away. The service, which has no capability, adds the user to those who may read.
    """
    with suppress(PermissionError):
        os.chown(path, owner.user, owner.group)
        return
    try:
        os.setxattr(path, "system.posix_acl_access", _acl(owner.user))
    except OSError as error:
        raise Conflict(
            f"QEMU's user (number {owner.user}) cannot be let read {path}: {error.strerror}; have"
            " root run the command, or set dynamic_ownership = 1 in /etc/libvirt/qemu.conf"
        ) from error


def _acl(user: int) -> bytes:
    """Return an access list: the owner reads and writes, user reads, nobody else does anything.

    See include/uapi/linux/posix_acl_xattr.h of Linux: version 2, then tag, permissions, number.
    """
    nobody = 0xFFFFFFFF  # the number where a tag needs none
    entries = [
        (0x01, 6, nobody),  # the owner
        (0x02, 4, user),
        (0x04, 0, nobody),  # the group
        (0x10, 4, nobody),  # the mask
        (0x20, 0, nobody),  # others
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def remove_boot_files(host: str) -> None:
    """Remove a host's boot files; none being there is fine, and what is not ours stays."""
    path = directory(host)
    if not is_ours(path):
        return
    try:
        for file in files.children(path):
            file.unlink(missing_ok=True)
        path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ShctlError(f"cannot remove the boot files {path}: {error.strerror}") from error


def is_ours(path: Path) -> bool:
    """Tell whether a directory holds nothing but what an installation boots; raise Unreadable."""
    facts = files.stat_or_none(path, follow=False)
    if facts is None or not stat.S_ISDIR(facts.st_mode):
        return False
    return all(
        _OURS.fullmatch(file.name) and files.is_regular(file) for file in files.children(path)
    )
