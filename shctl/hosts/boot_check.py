"""Look whether there is something to boot from on a host's disks, once its installer has ended.

What the two firmwares boot is in shctl.storage.boot_sectors. SeaBIOS boots one hard disk, the
first in the boot order, and turns to no other (bcv_prepboot() in src/boot.c); of UEFI any disk will
do.
"""

import os
import stat
from dataclasses import dataclass

from lxml import etree

from shctl.common.errors import NotFound, ShctlError, TimedOut, Unreachable
from shctl.common.timeout import within
from shctl.hosts import redefinition
from shctl.hypervisor.connection import Hypervisor
from shctl.storage import boot_sectors
from shctl.xml import domain

_HEAD = 2**20  # bytes at the start of a disk that are looked at
_PATIENCE = 20.0  # seconds that storage may take to give them


@dataclass(frozen=True)
class Verdict:
    """`fault` says why no disk can be booted, `unseen` why that is not certain."""

    fault: str | None = None
    unseen: str | None = None


@dataclass(frozen=True)
class _Disk:
    """A disk: its path, or its pool and the name of its volume."""

    target: str
    raw: bool
    path: str | None
    pool: str | None
    volume: str | None


def judge(hypervisor: Hypervisor, xml: str) -> Verdict:
    """Say whether a domain can boot from its disks; raise Unreachable without libvirt."""
    uefi = domain.read(xml).firmware == "uefi"
    heads: dict[str, bytes] = {}
    unseen: dict[str, str] = {}
    disks = _disks(xml)
    for disk in disks:
        try:
            heads[disk.target] = _head(hypervisor, disk)
        except Unreachable:
            raise
        except (ShctlError, OSError) as error:
            unseen[disk.target] = f"disk {disk.target}: {error}"
    good = [target for target, head in heads.items() if boot_sectors.is_bootable(head, uefi=uefi)]
    tried = [disk.target for disk in (disks if uefi else disks[:1])]
    if set(good) & set(tried):
        return Verdict()
    if hidden := [unseen[target] for target in tried if target in unseen]:
        return Verdict(unseen="; ".join(hidden))
    return Verdict(_fault(heads, good, whole=not unseen))


def _fault(heads: dict[str, bytes], good: list[str], *, whole: bool) -> str:
    """Say why no disk can be booted that is tried; `whole` if all could be seen."""
    if whole and not any(map(any, heads.values())):
        return "the installer ended without writing to a disk"
    if good:
        first = next(iter(heads))
        return (
            f"the installer ended without writing a boot sector to disk {first}, the only one that"
            f" the BIOS boots; it wrote one to disk {good[0]}"
        )
    return "the installer ended without writing a boot sector or partition table to a disk"


def _disks(xml: str) -> list[_Disk]:
    """Return a domain's disks, those first that are booted first."""
    found = domain.parse(xml).iterfind("devices/disk")
    disks = [e for e in found if e.get("device", "disk") in ("disk", "lun")]
    return [_disk(e) for e in sorted(disks, key=lambda e: redefinition.order(e) or 10**9)]


def _disk(element: etree._Element) -> _Disk:
    target, source, driver = (element.find(tag) for tag in ("target", "source", "driver"))
    plain = element.find(".//encryption") is None
    given = {} if source is None else {str(k): str(v) for k, v in source.items()}
    return _Disk(
        target="" if target is None else target.get("dev", ""),
        raw=plain and driver is not None and driver.get("type") == "raw",
        path=given.get("file") or given.get("dev") or given.get("name"),
        pool=given.get("pool"),
        volume=given.get("volume"),
    )


def _head(hypervisor: Hypervisor, disk: _Disk) -> bytes:
    """Return how a disk begins, as a guest sees it."""
    if not disk.raw:
        raise ShctlError("its format is not raw")
    late = TimedOut(f"its storage does not answer within {_PATIENCE:g} s")
    return within(_PATIENCE, lambda: _read(hypervisor, disk), late)


def _read(hypervisor: Hypervisor, disk: _Disk) -> bytes:
    if disk.pool and disk.volume:
        return hypervisor.pool(disk.pool).volume(disk.volume).read(_HEAD)
    if not disk.path:
        raise ShctlError("it has no path")
    try:
        # libvirt may read what this process may not.
        return hypervisor.volume_at(disk.path).read(_HEAD)
    except NotFound:
        return _read_file(disk.path)


def _read_file(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise ShctlError(f"{path} is neither a file nor a block device")
        return os.pread(descriptor, _HEAD, 0)
    finally:
        os.close(descriptor)
