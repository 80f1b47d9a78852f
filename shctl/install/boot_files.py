"""The kernel and initrd of an installation, in a directory for each host."""

import fcntl
import os
import re
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from shctl.common import files, names, paths
from shctl.common.atomic import TEMPORARY, make_directory, write_errors
from shctl.common.errors import Conflict, ShctlError
from shctl.hypervisor.ownership import Owner

CD = "answers.iso"
# The files that media.stage() writes, and the temporary files of an initrd and a CD.
_OWN_NAMES = re.compile(
    rf"kernel|initrd|answers\.iso|\.(?:initrd|answers\.iso)\..+{re.escape(TEMPORARY)}"
)
_FICLONE = 0x40049409  # FICLONE in linux/fs.h, see ioctl_ficlone(2)


def directory(host: str) -> Path:
    """Return the directory of a host's boot files, which need not exist.

    Raise InvalidInput for a name that is a path to somewhere else.
    """
    return paths.boot_files() / names.file_name(host)


def make_boot_directory(host: str) -> Path:
    """Make an empty directory for a host's boot files that QEMU's user can enter; return it."""
    path = directory(host)
    remove_boot_files(host)
    if files.exists(path):
        raise Conflict(f"{path} contains files that shctl did not make; move them away")
    make_directory(path)
    return path


def place(source: Path, target: Path) -> None:
    """Copy a cached file to a host's boot files; the copy shares blocks if the file system can.

    Not a hard link: libvirt makes QEMU's user the owner of the file, in the cache too. Raise
    NoSpace, InstallFailed.
    """
    with write_errors(target), source.open("rb") as cached, target.open("xb") as copy:
        os.fchmod(copy.fileno(), 0o644)
        _copy(cached, copy)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    with suppress(OSError):  # on another file system, or one without shared blocks
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        return
    from shutil import copyfileobj  # takes 2 ms, and is rarely needed

    copyfileobj(source, target, 1 << 20)


def give(path: Path, owner: Owner) -> None:
    """Let only QEMU's user read a file; raise Conflict if that fails.

    Root changes the owner. The service has no capabilities, and adds an ACL for the user instead.
    """
    with suppress(PermissionError):
        os.chown(path, owner.user, owner.group)
        return
    try:
        os.setxattr(path, "system.posix_acl_access", _acl(owner.user))
    except OSError as error:
        raise Conflict(
            f"cannot let QEMU's user (UID {owner.user}) read {path}: {error.strerror}; run the"
            " command as root, or set dynamic_ownership = 1 in /etc/libvirt/qemu.conf"
        ) from error


def _acl(user: int) -> bytes:
    """Return a POSIX ACL: read and write for the owner, read for `user`, nothing for others.

    The format is version 2, then tag, permissions and ID of each entry, see
    include/uapi/linux/posix_acl.h and posix_acl_xattr.h of Linux.
    """
    no_id = 0xFFFFFFFF  # ACL_UNDEFINED_ID
    entries = [
        (0x01, 6, no_id),  # ACL_USER_OBJ
        (0x02, 4, user),  # ACL_USER
        (0x04, 0, no_id),  # ACL_GROUP_OBJ
        (0x10, 4, no_id),  # ACL_MASK
        (0x20, 0, no_id),  # ACL_OTHER
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def remove_boot_files(host: str) -> None:
    """Remove a host's boot files, if any; a directory with other files stays."""
    path = directory(host)
    if not is_boot_directory(path):
        return
    try:
        for file in files.children(path):
            file.unlink(missing_ok=True)
        path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ShctlError(f"cannot remove the boot files {path}: {error.strerror}") from error


def is_boot_directory(path: Path) -> bool:
    """Return whether a path is a directory with boot files only; raise Unreadable."""
    facts = files.stat_or_none(path, follow=False)
    if facts is None or not stat.S_ISDIR(facts.st_mode):
        return False
    return all(
        _OWN_NAMES.fullmatch(file.name) and files.is_regular(file) for file in files.children(path)
    )
