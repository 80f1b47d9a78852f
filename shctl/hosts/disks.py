"""List, add, resize and remove disks of hosts."""

from __future__ import annotations

from shctl.common.errors import NotFound
from shctl.common.model import ChangedDisk, ChangePlan, Disk, RemovedDisk
from shctl.hosts import change, change_state, details
from shctl.hosts.disk_adding import plan_adding
from shctl.hosts.disk_removal import Removal, plan_removal
from shctl.hosts.disk_resizing import plan_resizing
from shctl.hypervisor.connection import Hypervisor
from shctl.xml import domain


def disks_of(hypervisor: Hypervisor, name: str) -> list[Disk]:
    """Return the disks of a host, also those that it gets at its next start; raise NotFound."""
    host = hypervisor.domain(name)
    both = (False, True) if host.active and host.persistent else (False,)
    infos = [domain.read(host.xml(stored=stored)) for stored in both]
    # Each name once, as QEMU has it.
    rows = {row.target: (row, info.metadata) for info in reversed(infos) for row in info.disks}
    return [details.disk(hypervisor, name, *rows[target]) for target in sorted(rows, key=_order)]


def _order(target: str) -> tuple[int, str]:
    return len(target), target


def show(hypervisor: Hypervisor, name: str, target: str) -> Disk:
    """Return a disk of a host; raise NotFound."""
    disks = disks_of(hypervisor, name)
    if found := next((disk for disk in disks if disk.name == target), None):
        return found
    known = ", ".join(disk.name for disk in disks) or "none"
    raise NotFound(f"host {name!r} has no disk {target!r}; its disks are: {known}")


def add(hypervisor: Hypervisor, name: str, size: int, pool: str) -> ChangedDisk:
    """Add a disk of `size` GiB to a host, and to its running QEMU if there is one.

    After a failure nothing of the disk is left. Raises NotFound, InvalidInput for a pool that
    cannot be used, NoSpace, Conflict, or TimedOut if QEMU hangs.
    """
    return change.apply(hypervisor, name, lambda s: plan_adding(hypervisor, s, size, pool)).result


def preview_adding(hypervisor: Hypervisor, name: str, size: int, pool: str) -> ChangePlan:
    """Return the steps of add(); change nothing."""
    return change.preview(hypervisor, name, lambda s: plan_adding(hypervisor, s, size, pool))


def resize(hypervisor: Hypervisor, name: str, target: str, size: int) -> ChangedDisk:
    """Enlarge a disk that a host owns to `size` GiB, also while the host runs.

    Raises NotFound, InvalidInput for a smaller size, NoSpace, Conflict, or TimedOut.
    """
    return change.apply(
        hypervisor, name, lambda s: plan_resizing(hypervisor, s, target, size)
    ).result


def preview_resizing(hypervisor: Hypervisor, name: str, target: str, size: int) -> ChangePlan:
    """Return the steps of resize(); change nothing."""
    return change.preview(hypervisor, name, lambda s: plan_resizing(hypervisor, s, target, size))


def remove(hypervisor: Hypervisor, name: str, target: str, *, keep: bool) -> RemovedDisk:
    """Remove a disk from a host, and delete its image if the host owns it, unless `keep` is set.

    Raises NotFound, TimedOut, or Conflict if something else uses the image or the guest does not
    release the disk; then nothing has changed.
    """
    return change.apply(
        hypervisor, name, lambda s: plan_removal(hypervisor, s, target, keep=keep)
    ).result


def preview_removal(hypervisor: Hypervisor, name: str, target: str, *, keep: bool) -> ChangePlan:
    """Return the steps of remove(); change nothing."""
    return change.preview(
        hypervisor, name, lambda s: plan_removal(hypervisor, s, target, keep=keep)
    )


def plan_removing(hypervisor: Hypervisor, name: str, target: str, *, keep: bool) -> Removal:
    """Return what remove() would do; raise as it does."""
    hypervisor.check_writable()
    state = change_state.read(hypervisor, name)
    return plan_removal(hypervisor, state, target, keep=keep).target
