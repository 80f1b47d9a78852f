"""Remove a disk from a host: plan it, and the steps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from shctl.common.errors import Conflict, ShctlError
from shctl.common.model import RemovedDisk
from shctl.common.rollback import Rollback
from shctl.common.signals import deferred
from shctl.common.steps import Plan, Step
from shctl.hosts import disk_state, power
from shctl.hosts.change_state import HostState
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.disk_state import HostDisk
from shctl.hosts.owned_disks import OwnedDisk
from shctl.hosts.pending import NEXT_START, NOW
from shctl.hypervisor.connection import Hypervisor
from shctl.storage import holders
from shctl.xml import disk_edits
from shctl.xml.metadata import Metadata, OwnedVolume

_CLOSE = 5.0  # seconds in which QEMU closes the image of a disk that it has removed


def plan_removal(
    hypervisor: Hypervisor, state: HostState, target: str, *, keep: bool
) -> Plan[Removal, ChangeSteps]:
    """Plan the removal of a disk with its image, unless `keep` is set or the host does not own it.

    Raises NotFound, TimedOut, or Conflict if the image must be kept or the host must be off.
    """
    disk_state.check_changeable(state)
    disk = disk_state.read_disk(hypervisor, state, target)
    _check_not_first(state, disk)
    deletes = disk.owned if not keep else None
    if deletes:
        verdict = f"disk {target!r} of host {state.name!r} is kept"
        disk_state.check_unused(hypervisor, state, deletes, verdict)
        _check_removable(deletes, verdict, f"shctl hosts disks remove {state.name} {target}")
    running = state.host.xml() if disk.live else ""
    removal = Removal(
        state.name, disk, deletes, disk_edits.device(running, target) if running else None
    )
    return Plan(removal, tuple(_steps(removal, keep=keep)))


def _check_not_first(state: HostState, disk: HostDisk) -> None:
    """Raise Conflict for the disk that a running host has booted from."""
    target = disk.row.target
    if state.running and disk.live and state.running.disks[0].target == target:
        raise Conflict(
            f"host {state.name!r} runs from disk {target!r}, its first one; run"
            f" 'shctl hosts stop {state.name}', then remove the disk"
        )


def _check_removable(disk: OwnedDisk, verdict: str, command: str) -> None:
    if not disk.removable:
        folder = Path(disk.path).parent
        raise Conflict(
            f"{verdict}: this process cannot write to {folder}; run '{command}' in a root shell,"
            f" and if that fails too, check the directory's mount options"
        )


def _steps(removal: Removal, *, keep: bool) -> Iterator[Step[ChangeSteps]]:
    name, target = removal.host, removal.disk.row.target
    host, disk = f"host {name!r}", f"disk {target!r}"
    if removal.deletes and removal.deletes.volume:
        yield Step(
            "mark", f"metadata of host {name}",
            f"Note in the metadata of {host} that {disk} is being removed.",
            removal.mark, removal.unmark,
        )  # fmt: skip
    if removal.device:
        yield Step(
            "detach", f"disk {target} of running host {name}",
            f"Remove {disk} from running {host}.", removal.detach, removal.attach,
        )  # fmt: skip
    kept = "".join(f", and keep {path}" for path in removal.result.kept)
    yield Step(
        "define", f"definition of host {name}",
        f"Store the definition of {host} without {disk}{kept}.", removal.store, removal.restore,
    )  # fmt: skip
    if removal.deletes:
        size = "" if removal.deletes.size is None else f", {removal.deletes.size:g} GiB"
        yield Step(
            "remove", f"disk {removal.deletes.path}", f"Remove {removal.deletes.what}{size}.",
            removal.delete,
        )  # fmt: skip
    elif removal.disk.owned and keep:
        yield Step(
            "unlist", f"metadata of host {name}",
            f"Remove {removal.disk.owned.what} from the metadata of {host}.",
            removal.unlist,
        )  # fmt: skip


@dataclass
class Removal:
    """A disk that is being removed; `deletes` is its image if that is removed too.

    `device` is its XML in the running QEMU, None if it has no such disk.
    """

    host: str
    disk: HostDisk
    deletes: OwnedDisk | None
    device: str | None
    _gone: bool = False

    @property
    def result(self) -> RemovedDisk:
        """Return what was done."""
        row, owned = self.disk.row, self.disk.owned
        path = owned.path if owned else row.path or "/".join(row.volume or ())
        kept = () if self.deletes or not path else (path,)
        applied = NOW if self.device else NEXT_START
        return RemovedDisk(row.target, "removed" if self.deletes else "detached", kept, applied)

    def mark(self, change: ChangeSteps) -> None:
        """Mark the volume, so that `doctor` finishes an interrupted removal."""
        change.write_metadata(partial(_marked, self._listed()))

    def unmark(self, change: ChangeSteps) -> None:
        """Restore the metadata."""
        if not self._gone:
            change.restore_metadata()

    def detach(self, change: ChangeSteps) -> None:
        """Remove the disk from the running QEMU; if the guest keeps it, all stays as it was."""
        with Rollback() as undo:
            undo.push(self._running, lambda: self._reattach(change))
            disk_state.release(change.host, self.disk.row.target, self.device or "")

    def attach(self, change: ChangeSteps) -> None:
        """Give the disk back to the running QEMU."""
        if not self._gone:
            self._reattach(change)

    def _reattach(self, change: ChangeSteps) -> None:
        host = change.host
        if self.device and host.active and not disk_state.is_attached(host, self.disk.row.target):
            disk_state.attach(host, self.device)

    def store(self, change: ChangeSteps) -> None:
        """Store the definition without the disk."""
        change.store(lambda xml: disk_edits.remove(xml, self.disk.row.target))

    def restore(self, change: ChangeSteps) -> None:
        """Store the definition with the disk again."""
        if not self._gone:
            change.restore()

    def delete(self, change: ChangeSteps) -> None:
        """Remove the image, once no QEMU has it open, and then from the metadata."""
        if disk := self.deletes:
            self._check_closed(change, disk.path)
            # An interrupt in between would restore a disk without its image.
            with deferred():
                disk.remove()
                self._gone = True
                self._unlist_removed(change)

    def _unlist_removed(self, change: ChangeSteps) -> None:
        try:
            self.unlist(change)
        except ShctlError as error:
            raise type(error)(
                f"disk {self.disk.row.target!r} is removed, but the metadata of host"
                f" {self.host!r} still lists it ({error}); 'shctl doctor --fix' corrects that"
            ) from error

    def unlist(self, change: ChangeSteps) -> None:
        """Remove the image from the metadata."""
        change.write_metadata(partial(_unlisted, self._listed(), self._paths()))

    def _check_closed(self, change: ChangeSteps, path: str) -> None:
        target = self.disk.row.target
        if disk_state.is_attached(change.host, target) or disk_state.is_stored(change.host, target):
            raise Conflict(f"another program attached disk {target!r} to host {self.host!r} again")
        is_file = path.startswith("/") and os.path.isfile(path)  # noqa: PTH113
        closed = not is_file or power.wait_until(
            lambda: not holders.is_locked(path), _CLOSE, cancellable=False
        )
        if not closed:
            raise Conflict(
                f"disk {target!r} of host {self.host!r} is kept: a process has {path} open; stop"
                " that process first"
            )

    @property
    def _running(self) -> str:
        return f"disk {self.disk.row.target} of running host {self.host}"

    def _listed(self) -> OwnedVolume | None:
        volume = self.disk.owned.volume if self.disk.owned else None
        return OwnedVolume(volume.pool, volume.name) if volume else None

    def _paths(self) -> frozenset[str | None]:
        owned = self.disk.owned
        return frozenset((self.disk.row.path, owned.path if owned else None))


def _marked(listed: OwnedVolume | None, data: Metadata) -> Metadata:
    volumes = (replace(v, pending=True) if v == listed else v for v in data.volumes)
    return replace(data, volumes=tuple(volumes))


def _unlisted(listed: OwnedVolume | None, paths: frozenset[str | None], data: Metadata) -> Metadata:
    return replace(
        data,
        volumes=tuple(volume for volume in data.volumes if volume != listed),
        paths=tuple(path for path in data.paths if path not in paths),
    )
