"""Read what changes of a host's disks depend on, and wait for its QEMU."""

from __future__ import annotations

from dataclasses import dataclass

from shctl.common.errors import Conflict, NotFound, ShctlError, TimedOut
from shctl.hosts import power
from shctl.hosts.change_state import HostState
from shctl.hosts.owned_disks import OwnedDisk, owned_disks
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.storage import holders, usage
from shctl.storage.usage import Use
from shctl.xml import disk_edits, domain
from shctl.xml.disks import DiskRow

RELEASE = 10.0  # seconds; QEMU removes a SCSI disk at once, others when the guest releases them


@dataclass(frozen=True)
class HostDisk:
    """A disk in a host's stored definition.

    `live` says that its running QEMU has it too; `owned` is None if it is kept with its host.
    """

    row: DiskRow
    live: bool
    owned: OwnedDisk | None


def check_changeable(state: HostState) -> None:
    """Raise Conflict for an interrupted change of a disk, TimedOut if QEMU does not answer."""
    if any(volume.pending for volume in state.metadata.volumes):
        raise Conflict(
            f"an earlier change of a disk of host {state.name!r} was interrupted;"
            " 'shctl doctor --fix' finishes it"
        )
    if state.active and state.running is None:
        raise TimedOut(
            f"QEMU of host {state.name!r} does not answer;"
            f" 'shctl hosts stop {state.name} --force' kills it"
        )
    if state.active:
        # A question that QEMU itself answers: it may hang without anybody having noticed.
        power.ask_qemu(state.host, state.host.disk_errors)


def read_disk(hypervisor: Hypervisor, state: HostState, target: str) -> HostDisk:
    """Return a host's disk; raise NotFound, or Conflict if QEMU has another one of this name."""
    rows = {row.target: row for row in state.stored.disks}
    if target not in rows:
        raise NotFound(
            f"host {state.name!r} has no disk {target!r}; its disks are:"
            f" {', '.join(rows) or 'none'}"
        )
    row = rows[target]
    disks = owned_disks(hypervisor, state.name, state.stored).owned
    owned = next((disk for disk in disks if disk.target == target), None)
    return HostDisk(row, _is_live(state, row), owned)


def _is_live(state: HostState, row: DiskRow) -> bool:
    rows = state.running.disks if state.running else ()
    live = next((other for other in rows if other.target == row.target), None)
    if live is None:
        return False
    # libvirt adds the path of a volume when it starts QEMU.
    same = live.volume == row.volume if row.volume else live.path == row.path
    if not same:
        raise Conflict(
            f"disk {row.target!r} of host {state.name!r} is {live.path} now, and {row.path} at its"
            f" next start; stop the host first"
        )
    return True


def check_unused(hypervisor: Hypervisor, state: HostState, disk: OwnedDisk, verdict: str) -> None:
    """Raise Conflict, which begins with `verdict`, if anything but this disk uses its image."""
    if state.host.snapshots():
        raise Conflict(
            f"{verdict}: host {state.name!r} has snapshots, which need the disk as it is; remove"
            f" them first, see 'virsh snapshot-list {state.name}'"
        )
    file = usage.identity(hypervisor, disk.path)
    twins = [
        row.target
        for row in state.stored.disks
        if row.target != disk.target and row.path and usage.identity(hypervisor, row.path) == file
    ]
    if twins:
        raise Conflict(f"{verdict}: its disk {twins[0]} has the same image; detach that one first")
    if others := [
        use for use in usage.users_of(hypervisor, [disk.path])[disk.path] if _is_other(state, use)
    ]:
        users = ", ".join(sorted(set(map(str, others))))
        raise Conflict(f"{verdict}: {disk.path} is also used by {users}; detach it there first")
    if not state.active and disk.path.startswith("/") and holders.is_locked(disk.path):
        raise Conflict(
            f"{verdict}: {disk.path} is in use by a process that libvirt does not know, such as"
            " qemu-nbd or a QEMU started by hand; stop that process first"
        )


def _is_other(state: HostState, use: Use) -> bool:
    # By UUID, since a host can be renamed. An image on top of the disk needs it as it is.
    return use.host is None or use.host.uuid != state.host.uuid or use.by is not None


def is_attached(host: Domain, target: str) -> bool:
    """Return whether the running QEMU of a host has a disk; False if the host is off."""
    return host.active and target in disk_edits.targets(host.xml())


def attach(host: Domain, device: str) -> None:
    """Add a disk to the running QEMU; raise TimedOut if it hangs."""
    power.ask_qemu(host, lambda: host.attach(device))


def release(host: Domain, target: str, device: str) -> None:
    """Remove a disk from the running QEMU, and wait until it is gone; nothing happens without it.

    Raises Conflict if the guest does not release it in time, TimedOut if QEMU hangs.
    """
    try:
        # Also if libvirt does not list the disk: an abandoned call may be about to add it.
        power.ask_qemu(host, lambda: host.detach(device))
    except TimedOut:
        raise
    except ShctlError:
        if is_attached(host, target):
            raise
    if not power.wait_until(lambda: not is_attached(host, target), RELEASE, cancellable=False):
        raise Conflict(
            f"the guest of host {host.name!r} did not release disk {target!r}, and may do so later;"
            f" run 'shctl hosts stop {host.name}', then try again"
        )


def is_stored(host: Domain, target: str) -> bool:
    """Return whether the stored definition of a host has a disk."""
    return target in {row.target for row in domain.read(host.xml(stored=True)).disks}
