"""Check whether a host can boot from its disks once its installer has ended.

What each firmware boots is in shctl.storage.boot_sectors. SeaBIOS tries only the first hard disk of
the boot order (bcv_prepboot() in src/boot.c); UEFI tries all disks.
"""

import os
import stat
from dataclasses import dataclass

from shctl.common.errors import NotFound, ShctlError, TimedOut, Unreachable
from shctl.common.timeout import run_with_timeout
from shctl.hypervisor.connection import Hypervisor
from shctl.storage import boot_sectors
from shctl.xml import domain
from shctl.xml.boot import BootDisk, read_disks

_HEAD = 2**20  # bytes to read from the start of each disk
_TIMEOUT = 20.0  # seconds for the storage to return them


@dataclass(frozen=True)
class Result:
    """`problem` says why no disk can be booted, `unchecked` why that is not certain.

    Both are None when a disk can be booted.
    """

    problem: str | None = None
    unchecked: str | None = None


def check(hypervisor: Hypervisor, xml: str) -> Result:
    """Check whether a domain can boot from its disks; raise Unreachable without libvirt."""
    uefi = domain.read(xml).firmware == "uefi"
    disks = read_disks(xml)
    heads, unreadable = _heads(hypervisor, disks)
    bootable = [
        target for target, head in heads.items() if boot_sectors.is_bootable(head, uefi=uefi)
    ]
    tried = [disk.target for disk in (disks if uefi else disks[:1])]
    if set(bootable) & set(tried):
        return Result()
    if reasons := [unreadable[target] for target in tried if target in unreadable]:
        return Result(unchecked="; ".join(reasons))
    return Result(_problem(heads, bootable, complete=not unreadable))


def _heads(
    hypervisor: Hypervisor, disks: list[BootDisk]
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the start of each disk by target, and why the others cannot be read."""
    heads: dict[str, bytes] = {}
    unreadable: dict[str, str] = {}
    for disk in disks:
        try:
            heads[disk.target] = _head(hypervisor, disk)
        except Unreachable:
            raise
        except (ShctlError, OSError) as error:
            unreadable[disk.target] = f"disk {disk.target}: {error}"
    return heads, unreadable


def _problem(heads: dict[str, bytes], bootable: list[str], *, complete: bool) -> str:
    """Return why no disk that the firmware tries can be booted.

    `complete` says that every disk could be read; `bootable` has disks that are never tried.
    """
    if complete and not any(any(head) for head in heads.values()):
        return "the installer ended without writing to a disk"
    if bootable:
        first = next(iter(heads))
        return (
            f"the installer ended without writing a boot sector to disk {first}, the only one that"
            f" the BIOS boots; it wrote one to disk {bootable[0]}"
        )
    return "the installer ended without writing a boot sector or partition table to a disk"


def _head(hypervisor: Hypervisor, disk: BootDisk) -> bytes:
    """Return the first bytes of a disk, as the guest sees them."""
    # Other formats would need qemu-img, and their backing files may be anywhere.
    if not disk.raw:
        raise ShctlError("its format is not raw")
    late = TimedOut(f"its storage did not respond within {_TIMEOUT:g} s")
    return run_with_timeout(_TIMEOUT, lambda: _read(hypervisor, disk), late)


def _read(hypervisor: Hypervisor, disk: BootDisk) -> bytes:
    if disk.pool and disk.volume:
        return hypervisor.pool(disk.pool).volume(disk.volume).read(_HEAD)
    if not disk.path:
        raise ShctlError("it has no path")
    try:
        # Through libvirt: this process may lack permission to open the disk itself.
        return hypervisor.volume_at(disk.path).read(_HEAD)
    except NotFound:
        return _read_file(disk.path)


def _read_file(path: str) -> bytes:
    # O_NONBLOCK: opening a FIFO without a writer would block.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise ShctlError(f"{path} is neither a file nor a block device")
        return os.pread(descriptor, _HEAD, 0)
    finally:
        os.close(descriptor)
