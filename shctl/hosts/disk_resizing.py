"""Enlarge a disk of a host: plan it, and the steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shctl.common.errors import Conflict, InvalidInput, ShctlError
from shctl.common.model import ChangedDisk
from shctl.common.steps import Plan, Step
from shctl.hosts import disk_state, power
from shctl.hosts.change_state import HostState
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.disk_state import HostDisk
from shctl.hosts.pending import NEXT_START, NOW
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.pools import Pool, Volume
from shctl.storage import space
from shctl.xml.disks import RAW
from shctl.xml.storage import read_pool, read_volume

_FORMATS = (RAW, "qcow2")
# Types of pools in which libvirt 9 can enlarge volumes.
_POOLS = ("dir", "fs", "netfs", "rbd")
_GIB = 2**30


def plan_resizing(
    hypervisor: Hypervisor, state: HostState, target: str, size: int
) -> Plan[Resizing, ChangeSteps]:
    """Plan a disk of `size` GiB, without steps if it has that size.

    Raises NotFound, InvalidInput for a smaller size, NoSpace, TimedOut, or Conflict for a disk that
    shctl may not or cannot resize.
    """
    disk_state.check_changeable(state)
    disk = disk_state.read_disk(hypervisor, state, target)
    verdict = f"disk {target!r} of host {state.name!r} is not resized"
    volume = _volume(disk, verdict)
    pool = hypervisor.pool(volume.pool)
    _check_format(disk, volume, pool, verdict)
    resizing = Resizing(state.host, disk, volume, pool, size * _GIB)
    have = resizing.read_sizes()
    if max(have) > resizing.size:
        raise InvalidInput(
            f"size: disk {target!r} of host {state.name!r} has {max(have) / _GIB:g} GiB; a disk can"
            " only grow, since shrinking it would destroy data",
            field="size",
        )
    if min(have) < resizing.size:
        if disk.owned:
            disk_state.check_unused(hypervisor, state, disk.owned, verdict)
        space.check_room(
            hypervisor, pool, (resizing.size - min(have)) / _GIB, f"growing disk {target!r}"
        )
    return Plan(resizing, tuple(_steps(resizing)) if min(have) < resizing.size else ())


def _volume(disk: HostDisk, verdict: str) -> Volume:
    if disk.owned is None:
        raise Conflict(
            f"{verdict}: the host does not own it; shctl resizes only disks that it would delete"
            " with their host"
        )
    if disk.owned.volume is None:
        raise Conflict(
            f"{verdict}: {disk.owned.path} is not a volume of a libvirt pool; stop the host, then"
            f" use 'qemu-img resize'"
        )
    return disk.owned.volume


def _check_format(disk: HostDisk, volume: Volume, pool: Pool, verdict: str) -> None:
    kind, found = read_pool(pool.xml()).type, read_volume(volume.xml()).format
    if kind not in _POOLS:
        raise Conflict(
            f"{verdict}: libvirt cannot resize volumes of pool {pool.name!r}, whose type is {kind};"
            " use that storage's own tools"
        )
    if disk.row.format not in _FORMATS:
        raise Conflict(f"{verdict}: its format {disk.row.format} is neither raw nor qcow2")
    # libvirt determines a volume's format from bytes that the guest may have written.
    if found not in (None, disk.row.format):
        raise Conflict(
            f"{verdict}: the host uses it as {disk.row.format}, but its first bytes are those of"
            f" format {found}, as which libvirt would resize it"
        )


def _steps(resizing: Resizing) -> Iterator[Step[ChangeSteps]]:
    host, target = resizing.host.name, resizing.disk.row.target
    gib = resizing.size // _GIB
    if not resizing.disk.live:
        yield Step(
            "resize", f"volume {resizing.volume.name} in pool {resizing.pool.name}",
            f"Resize volume {resizing.volume.name!r} to {gib} GiB.", lambda _: resizing.grow(),
        )  # fmt: skip
        return
    yield Step(
        "resize", f"disk {target} of running host {host}",
        f"Have QEMU of host {host!r} resize disk {target!r} to {gib} GiB.",
        lambda _: resizing.grow_live(),
    )  # fmt: skip


@dataclass(frozen=True)
class Resizing:
    """A disk that grows to `size` bytes; nothing that it does can be undone without losing data."""

    host: Domain
    disk: HostDisk
    volume: Volume
    pool: Pool
    size: int

    @property
    def result(self) -> ChangedDisk:
        """Return the disk once it has its size."""
        row = self.disk.row
        applied = NOW if self.disk.live else NEXT_START
        return ChangedDisk(
            row.target, self.size / _GIB, self.volume.path, True, row.serial, applied
        )

    def read_sizes(self) -> list[int]:
        """Return the sizes of the disk in bytes: of its volume, and as QEMU has it if it runs."""
        found: list[int] = []
        if self.disk.live:
            target = self.disk.row.target
            power.ask_qemu(self.host, lambda: found.append(self.host.block_size(target)))
        # libvirt does not notice that QEMU enlarges an image of any other format.
        if self.disk.row.format == RAW or not self.disk.live:
            found.append(round(self.volume.capacity * _GIB))
        return found

    def grow(self) -> None:
        """Enlarge the volume of a host that does not use it now."""
        self.volume.resize(self.size)
        self._check()

    def grow_live(self) -> None:
        """Have the running QEMU enlarge the image, and the guest notice it."""
        target = self.disk.row.target
        power.ask_qemu(self.host, lambda: self.host.block_resize(target, self.size))
        if self.disk.row.format != RAW:
            self.pool.refresh()
        self._check()

    def _check(self) -> None:
        if min(self.read_sizes()) < self.size:
            raise ShctlError(
                f"libvirt reports success, but disk {self.disk.row.target!r} of host"
                f" {self.host.name!r} has not grown"
            )
