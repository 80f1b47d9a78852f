"""Look whether there is something to boot from on a host's disks, once its installer has ended.

The BIOS boots a disk by the signature that ends its first sector. UEFI takes a partition table,
whose first sector ends in the same way: a GPT has a protective one (UEFI 2.10, 5.2.3).
"""

import os
import stat
from dataclasses import dataclass

from lxml import etree

from shctl.deadline import within
from shctl.errors import NotFound, ShctlError, TimedOut, Unreachable
from shctl.hypervisor import Hypervisor

_HEAD = 2**20  # bytes at the start of a disk that are looked at
_PATIENCE = 20.0  # seconds that storage may take to give them
_SIGNATURE = (510, b"\x55\xaa")
_GPT = (512, b"EFI PART")


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
    """Say whether one of a domain's disks can be booted; raise Unreachable without libvirt."""
    unseen, blank = [], True
    for disk in _disks(xml):
        try:
            head = _head(hypervisor, disk)
        except Unreachable:
            raise
        except (ShctlError, OSError) as error:
            unseen.append(f"disk {disk.target}: {error}")
            continue
        if is_bootable(head):
            return Verdict()
        blank = blank and not any(head)
    if unseen:
        return Verdict(unseen="; ".join(unseen))
    if blank:
        return Verdict("the installer ended without writing to a disk")
    return Verdict("the installer ended without writing a boot sector or partition table to a disk")


def is_bootable(head: bytes) -> bool:
    """Tell whether a disk that begins so has a boot sector or a partition table."""
    return any(head[at : at + len(magic)] == magic for at, magic in (_SIGNATURE, _GPT))


def _disks(xml: str) -> list[_Disk]:
    found = etree.fromstring(xml).iterfind("devices/disk")
    return [_disk(e) for e in found if e.get("device", "disk") in ("disk", "lun")]


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
