"""Tell all about one host."""

from contextlib import suppress
from functools import lru_cache

from shctl.common import names
from shctl.common.errors import Conflict, NotFound, ShctlError
from shctl.common.model import Disk, HostDetail, Install, Interface
from shctl.common.states import Phase
from shctl.hosts import arp, installation
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.pools import Volume
from shctl.xml import domain, network
from shctl.xml.disks import DiskRow
from shctl.xml.metadata import Metadata


def show(hypervisor: Hypervisor, name: str) -> HostDetail:
    """Return a host's hardware, state and what shctl knows about it; raise NotFound.

    An installation whose end nobody has seen yet is brought to it first, if that can be.
    """
    host = hypervisor.domain(name)
    info = domain.read(host.xml())
    if info.metadata and info.metadata.install and info.metadata.install.pending:
        # What hinders the start stands in the installation's reason, and hides nothing else.
        with suppress(ShctlError):
            installation.advance(hypervisor, name)
        info = domain.read(host.xml())
    return _detail(hypervisor, host, info)


def detail(hypervisor: Hypervisor, host: Domain) -> HostDetail:
    """Return all about the host behind a handle."""
    return _detail(hypervisor, host, domain.read(host.xml()))


def _detail(hypervisor: Hypervisor, host: Domain, info: domain.DomainInfo) -> HostDetail:
    data = info.metadata
    state, reason = host.state_and_reason
    return HostDetail(
        id=host.uuid,
        name=host.name,
        state=state,
        reason=reason,
        managed=data is not None,
        memory=info.memory,
        max_memory=info.max_memory,
        cpus=info.cpus,
        max_cpus=info.max_cpus,
        firmware=info.firmware,
        # In this order, for most hosts are not asked the second question.
        autostart=host.autostart and host.persistent,
        created=data.created if data else None,
        console=info.console,
        install=_install(data),
        disks=tuple(_disk(hypervisor, host.name, row, data) for row in info.disks),
        interfaces=_interfaces(
            hypervisor,
            info,
            _addresses(host, agent=info.agent) if info.active else {},
        ),
    )


def _addresses(host: Domain, *, agent: bool) -> dict[str, tuple[str, ...]]:
    told, seen = host.addresses(agent=agent), arp.addresses()
    return {
        mac: tuple(dict.fromkeys((*told.get(mac, ()), *seen.get(mac, ())))) for mac in told | seen
    }


def _install(data: Metadata | None) -> Install | None:
    if data is None or data.install is None:
        return None
    install = data.install
    return Install(
        phase=Phase.INSTALLING if install.open else install.phase,
        reason=install.reason,
        started=install.started,
        deadline=install.deadline,
        ended=install.ended,
        location=install.location,
    )


def _disk(hypervisor: Hypervisor, host: str, row: DiskRow, data: Metadata | None) -> Disk:
    path, size = row.path, None
    owned = data is not None and path in data.paths
    # A disk in no pool has no size that could be read without asking its QEMU, which may hang.
    with suppress(NotFound, Conflict):  # Conflict: its pool is inactive
        if volume := _volume(hypervisor, row):
            path, size = path or volume.path, volume.capacity
            usual = names.volume(host, row.target)
            owned = owned or (data is not None and _lists(data, volume, usual))
    return Disk(row.target, size, path, owned and row.removable)


def _volume(hypervisor: Hypervisor, row: DiskRow) -> Volume | None:
    """Return the volume that a disk is, by its pool and name or by its path."""
    if row.volume:
        pool, name = row.volume
        return hypervisor.pool(pool).volume(name)
    return hypervisor.volume_at(row.path) if row.path else None


def _lists(data: Metadata, volume: Volume, usual: str) -> bool:
    """Tell whether a volume is one that the metadata lists, in its pool too where that may not be.

    To ask for the pool is a call, which a disk in its usual place is spared.
    """
    pools = [listed.pool for listed in data.volumes if listed.name == volume.name]
    return bool(pools) and (volume.name == usual or volume.pool in pools)


def _interfaces(
    hypervisor: Hypervisor, info: domain.DomainInfo, addresses: dict[str, tuple[str, ...]]
) -> tuple[Interface, ...]:
    @lru_cache
    def tags(name: str, portgroup: str | None) -> network.Tags:
        with suppress(NotFound):
            return network.read_tags(hypervisor.network(name).xml(), portgroup)
        return None, ()

    def of(row: domain.InterfaceRow) -> network.Tags:
        own = row.vlan, row.trunk
        # A running domain's own XML has the tags that its ports were started with. Those of an
        # interface stand before its port group's, and these before its network's.
        asked = row.network and not info.active and own == (None, ())
        return tags(row.network, row.portgroup) if row.network and asked else own

    return tuple(
        Interface(row.network, row.mac, *of(row), row.port, addresses.get(row.mac, ()))
        for row in info.interfaces
    )
