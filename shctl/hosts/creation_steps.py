"""The steps of a creation: what each one does, and how it is rolled back."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from shctl.common.errors import Conflict
from shctl.common.rollback import Rollback
from shctl.common.signals import interruptible
from shctl.hosts import conflicts, console_log, nvram, power
from shctl.hypervisor import ownership
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definitions
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.pools import Pool, Volume
from shctl.install import boot_files
from shctl.networks import ports
from shctl.storage.volumes import create_volume, disk_source, open_pool
from shctl.xml import domain, metadata
from shctl.xml.domain import Installer, Spec

if TYPE_CHECKING:
    from shctl.install.media import Media


class CreationSteps:
    """The methods that create a host, and what they have created so far."""

    def __init__(
        self, hypervisor: Hypervisor, target: Spec, pool: str, media: Media | None
    ) -> None:
        self._hypervisor = hypervisor
        self._target = target
        self._pool_name = pool
        self._media = media
        self._volumes: dict[str, Volume] = {}
        self._installer = Installer()
        self.host: Domain

    @cached_property
    def _pool(self) -> Pool:
        return self._hypervisor.pool(self._pool_name)

    @cached_property
    def _owner(self) -> ownership.Owner | None:
        return ownership.qemu_owner(self._hypervisor)

    def open_pool(self) -> None:
        """Create or start the default pool; raise Conflict if it has one of the volumes already."""
        # The plan could not check that: libvirt lists no volumes of a pool that is not active.
        self._pool = open_pool(self._hypervisor, self._pool_name)
        conflicts.check_volumes_free(self._hypervisor, self._pool, self._target.metadata)

    def reserve(self) -> None:
        """Define the host without its disks."""
        self.host = self._hypervisor.reserve(domain.build(self._target))

    def withdraw(self) -> None:
        """Undefine the host unless one of its volumes is left: only its metadata lists it."""
        left = [name for name in self._volumes if self._pool.has_volume(name)]
        if left:
            raise Conflict(f"host {self.host.name!r} still has {', '.join(left)}")
        # Otherwise a port that is left would count as another owner's: libvirt forgets the host.
        ports.note_deleted(self.host.uuid)
        foreign = nvram.foreign(
            Definitions(self._hypervisor), self.host, self.host.xml(stored=True)
        )
        self.host.undefine(nvram=foreign is None)

    def create_volume(self, *, name: str, size: int) -> None:
        """Create the volume of a disk; `size` in GiB."""
        self._volumes[name] = create_volume(self._pool, name, size, self._owner)

    def delete_volume(self, *, name: str) -> None:
        """Delete the volume of a disk."""
        self._volumes[name].delete()

    def create_log(self) -> None:
        """Create the log of the serial console."""
        console_log.prepare_log(Path(self._target.console))

    def remove_log(self) -> None:
        """Remove the log of the serial console."""
        console_log.remove_log(Path(self._target.console))

    def define(self) -> None:
        """Define the host with its disks; the same UUID replaces the reservation."""
        disks = tuple(disk_source(self._pool, volume) for volume in self._volumes.values())
        self._target = replace(self._target, disks=disks)
        self.host = self._hypervisor.define(domain.build(self._target))

    def set_autostart(self) -> None:
        """Have libvirtd start the host at its own start."""
        self.host.set_autostart(True)

    def stage(self) -> None:
        """Copy the installer's files to where the host's QEMU reads them."""
        from shctl.install import media

        with Rollback() as undo:
            undo.push(f"boot files of {self.host.name}", self.remove_boot_files)
            with interruptible():  # large files are copied
                self._installer = media.stage(self._media, self.host.name, self._owner)

    def remove_boot_files(self) -> None:
        """Remove the installer's files."""
        boot_files.remove_boot_files(self.host.name)

    def start(self) -> None:
        """Start the host, or its installer."""
        installs = self._target.metadata.install
        installer = replace(self._target, installer=self._installer) if installs else None
        power.power_on(
            self._hypervisor, self.host, installer=domain.build(installer) if installer else None
        )

    def power_off(self) -> None:
        """Stop the host's QEMU."""
        self.host.destroy()

    def complete(self) -> None:
        """Mark the host as complete in its metadata."""
        data = metadata.text(replace(self._target.metadata, complete=True))
        self.host.set_metadata(data, metadata.URI, metadata.KEY)
