"""Add a disk to a host: plan it, and the steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from shctl.common import defaults, names
from shctl.common.errors import Conflict, InvalidInput, TimedOut
from shctl.common.model import ChangedDisk
from shctl.common.rollback import Rollback
from shctl.common.steps import Plan, Step
from shctl.hosts import disk_state
from shctl.hosts.change_state import HostState
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.pending import NEXT_START, NOW
from shctl.hypervisor import ownership
from shctl.hypervisor.connection import Hypervisor, not_found
from shctl.hypervisor.pools import Pool, Volume
from shctl.storage import space, volumes
from shctl.xml import disk_edits
from shctl.xml.disk_device import Place
from shctl.xml.metadata import Metadata, OwnedVolume

_MOST = 256  # disks of a host, as at its creation


def plan_adding(
    hypervisor: Hypervisor, state: HostState, size: int, pool: str
) -> Plan[Adding, ChangeSteps]:
    """Plan a new disk of `size` GiB; raise InvalidInput, Conflict, NoSpace or TimedOut."""
    disk_state.check_changeable(state)
    active = _find_pool(hypervisor, pool)
    target = _free_target(state, active)
    if active:
        space.check_room(hypervisor, active, size, f"disk {target!r} of host {state.name!r}")
    running = state.host.xml() if state.running else ""
    place = disk_edits.find_place(filter(None, (state.definition, running)), target)
    # libvirt would add a controller of another kind to a QEMU that has none of virtio-scsi.
    live = bool(running) and disk_edits.has_controller(running, place)
    adding = Adding(hypervisor, state.name, target, size, pool, place, live)
    return Plan(adding, tuple(_steps(adding, opens=active is None)))


def _find_pool(hypervisor: Hypervisor, name: str) -> Pool | None:
    """Return the pool if it is active, None for a default pool that the first step opens."""
    known = hypervisor.pool_names()
    if name in known and (pool := hypervisor.pool(name)).active:
        return pool
    if name == defaults.POOL:
        volumes.check_default_pool(hypervisor, exists=name in known)
        return None
    if name in known:
        raise volumes.inactive_pool(name)
    error = not_found("pool", name, known)
    raise InvalidInput(f"pool: {error}; list all with 'virsh pool-list --all'", field="pool")


def _free_target(state: HostState, pool: Pool | None) -> str:
    """Return the lowest sdX that no drive of the host has, running or stored, and no volume.

    A volume that was kept when its disk was removed keeps its name, and thus its serial number.
    """
    taken = disk_edits.targets(state.definition)
    if state.running:
        taken |= disk_edits.targets(state.host.xml())
    listed = {volume.name for volume in state.metadata.volumes}
    for target in map(names.disk_target, range(_MOST)):
        name = names.volume(state.name, target)
        if target not in taken and name not in listed and not (pool and pool.has_volume(name)):
            return target
    raise Conflict(f"host {state.name!r} has no free name for a disk; remove one first")


def _steps(adding: Adding, *, opens: bool) -> Iterator[Step[ChangeSteps]]:
    host, disk = f"host {adding.host!r}", f"disk {adding.target!r}"
    if opens:
        text = f"Open pool {adding.pool!r}."
        yield Step("open", f"pool {adding.pool}", text, adding.open_pool)
    yield Step(
        "list", f"volume {adding.volume_name} in the metadata of host {adding.host}",
        f"List the new volume in the metadata of {host}, before it exists.",
        adding.list_volume, adding.unlist_volume,
    )  # fmt: skip
    yield Step(
        "create", f"volume {adding.volume_name} in pool {adding.pool}",
        f"Create volume {adding.volume_name!r} of {adding.size} GiB in pool {adding.pool!r}.",
        adding.create_volume, adding.delete_volume,
    )  # fmt: skip
    yield Step(
        "define", f"definition of host {adding.host}",
        f"Store {disk} in the definition of {host}.", adding.store, adding.restore,
    )  # fmt: skip
    if adding.live:
        yield Step(
            "attach", f"disk {adding.target} of running host {adding.host}",
            f"Add {disk} to running {host}.", adding.attach, lambda _: adding.release(),
        )  # fmt: skip
    yield Step(
        "complete", f"disk {adding.target} of host {adding.host}",
        f"Mark {disk} of {host} as complete.", adding.complete,
    )  # fmt: skip


@dataclass
class Adding:
    """A disk that is being added, and what has been made of it; `live` says that QEMU gets it too.

    While it is unknown whether a QEMU that hangs has the disk, nothing of it is removed.
    """

    hypervisor: Hypervisor
    host: str
    target: str
    size: int
    pool: str
    place: Place
    live: bool
    _made: list[Volume] = field(default_factory=list)
    _device: str = ""
    _change: ChangeSteps | None = None
    _uncertain: bool = False

    @property
    def volume_name(self) -> str:
        """Return the name of the new volume."""
        return names.volume(self.host, self.target)

    @property
    def result(self) -> ChangedDisk:
        """Return the disk once it was added."""
        serial = names.serial(self.host, self.target)
        applied = NOW if self.live else NEXT_START
        path = self._made[0].path
        return ChangedDisk(self.target, float(self.size), path, True, serial, applied)

    def open_pool(self, _: ChangeSteps) -> None:
        """Create or start the default pool."""
        volumes.open_pool(self.hypervisor, self.pool)

    def list_volume(self, change: ChangeSteps) -> None:
        """List the volume in the metadata, so that an interruption leaves none that is unknown."""
        # Once listed, it would count as left over.
        if self.hypervisor.pool(self.pool).has_volume(self.volume_name):
            raise Conflict(
                f"pool {self.pool!r} has a volume {self.volume_name!r} already; try again"
            )
        listed = OwnedVolume(self.pool, self.volume_name, pending=True)
        change.write_metadata(lambda data: replace(data, volumes=(*data.volumes, listed)))

    def unlist_volume(self, change: ChangeSteps) -> None:
        """Restore the metadata."""
        self._check_certain()
        change.restore_metadata()

    def create_volume(self, _: ChangeSteps) -> None:
        """Create the volume."""
        pool, owner = self.hypervisor.pool(self.pool), ownership.qemu_owner(self.hypervisor)
        self._made.append(volumes.create_volume(pool, self.volume_name, self.size, owner))

    def delete_volume(self, _: ChangeSteps) -> None:
        """Delete the volume, which nothing has written to."""
        self._check_certain()
        self._made[0].delete()

    def store(self, change: ChangeSteps) -> None:
        """Store the definition with the disk."""
        source = volumes.disk_source(self.hypervisor.pool(self.pool), self._made[0])
        change.store(lambda xml: disk_edits.add(xml, self.host, self.target, source, self.place))

    def restore(self, change: ChangeSteps) -> None:
        """Store the definition without the disk again."""
        self._check_certain()
        change.restore()

    def attach(self, change: ChangeSteps) -> None:
        """Add the disk to the running QEMU, as libvirt has stored it."""
        self._device = disk_edits.device(change.definition, self.target) or ""
        self._change = change
        with Rollback() as undo:
            undo.push(f"disk {self.target} of running host {self.host}", self.release)
            self._uncertain = True
            disk_state.attach(change.host, self._device)
            self._uncertain = False

    def release(self) -> None:
        """Remove the disk from the running QEMU."""
        if self._change:
            disk_state.release(self._change.host, self.target, self._device)
        self._uncertain = False

    def complete(self, change: ChangeSteps) -> None:
        """Mark the volume as a disk of the host like the others."""
        change.write_metadata(_without_pending)

    def _check_certain(self) -> None:
        if self._uncertain:
            raise TimedOut(f"QEMU of host {self.host!r} may still get disk {self.target!r}")


def _without_pending(data: Metadata) -> Metadata:
    return replace(data, volumes=tuple(replace(v, pending=False) for v in data.volumes))
