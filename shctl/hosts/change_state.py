"""Read a host that is to be changed, and refuse hosts that cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field

from shctl.common.errors import Conflict
from shctl.common.states import Phase
from shctl.hosts import managed, power
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.xml import domain
from shctl.xml.domain import DomainInfo
from shctl.xml.metadata import Metadata


@dataclass(frozen=True)
class HostState:
    """A host as it was read for a change.

    `definition` is its stored XML, with passwords; `stored` what shctl reads from it, and
    `running` the same of its QEMU: None while it is off, or while its QEMU does not answer.
    """

    host: Domain
    active: bool
    autostart: bool
    definition: str = field(repr=False)
    stored: DomainInfo
    running: DomainInfo | None
    metadata: Metadata

    @property
    def name(self) -> str:
        """Return the host's name."""
        return self.host.name


def read(hypervisor: Hypervisor, name: str, *, harmless: bool = False) -> HostState:
    """Read a host; raise NotFound, or Conflict for one that cannot be changed.

    With `harmless` the change concerns neither QEMU nor what an installer sees.
    """
    host = hypervisor.domain(name)
    if not host.persistent:
        raise Conflict(f"host {name!r} is transient; make it persistent with 'virsh define' first")
    definition = host.definition()
    stored = domain.read(definition)
    data = managed.check(name, stored)
    power.check_complete(host)
    active = host.active
    running = domain.read(host.xml()) if active and not host.hung else None
    if not harmless:
        _check_no_installer(name, data, running)
        _check_not_saved(host)
    return HostState(host, active, host.autostart, definition, stored, running, data)


def _check_no_installer(name: str, data: Metadata, running: DomainInfo | None) -> None:
    runs = running is not None and running.installer
    # A host whose installer has ended can be changed: it may lack memory to start from its disk.
    if runs or (data.install and data.install.phase == Phase.INSTALLING):
        raise Conflict(
            f"host {name!r} is being installed; wait with 'shctl hosts wait {name} --for"
            " installed', then change it"
        )


def _check_not_saved(host: Domain) -> None:
    if host.is_saved:
        raise Conflict(
            f"host {host.name!r} is saved and would resume as it was; start it, or discard its"
            f" saved state with 'virsh managedsave-remove {host.name}', then change it"
        )
