"""Collect all details of one host."""

from contextlib import suppress
from functools import lru_cache

from shctl.common import names
from shctl.common.errors import Conflict, NotFound, ShctlError
from shctl.common.model import Disk, HostDetail, Interface
from shctl.common.rows import Install
from shctl.common.states import Phase
from shctl.hosts import installation, pending
from shctl.hypervisor import arp
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.pools import Volume
from shctl.xml import domain, network
from shctl.xml.disks import DiskRow
from shctl.xml.interfaces import InterfaceRow
from shctl.xml.metadata import Metadata


def show(hypervisor: Hypervisor, name: str) -> HostDetail:
    """Return a host's hardware, state and metadata; raise NotFound.

    A pending installation is advanced first, so that its state is up to date.
    """
    host = hypervisor.domain(name)
    info = domain.read(host.xml())
    if info.metadata and info.metadata.install and info.metadata.install.pending:
        # If the host cannot be started, the installation's reason says why.
        with suppress(ShctlError):
            installation.advance(hypervisor, name)
        info = domain.read(host.xml())
    return _detail(hypervisor, host, info)


def detail(hypervisor: Hypervisor, host: Domain) -> HostDetail:
    """Return a host's details without advancing its installation."""
    return _detail(hypervisor, host, domain.read(host.xml()))


def _detail(hypervisor: Hypervisor, host: Domain, info: domain.DomainInfo) -> HostDetail:
    data = info.metadata
    state, reason = host.state_and_reason
    # A host that is off has one definition.
    stored = domain.read(host.xml(stored=True)) if info.active else info
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
        # `persistent` costs a call to libvirt, and most hosts have no autostart.
        autostart=host.autostart and host.persistent,
        created=data.created if data else None,
        console=info.console,
        install=_install(data),
        disks=tuple(disk(hypervisor, host.name, row, data) for row in info.disks),
        interfaces=_interfaces(
            hypervisor,
            info,
            _addresses(host, agent=info.agent) if info.active else {},
            pending.interface_indexes(host.name, info, stored),
        ),
        virt_type=info.virt_type,
        pending=pending.find(host.name, info, stored) if info.active else (),
        vnc=info.vnc,
    )


def stored_interfaces(hypervisor: Hypervisor, host: Domain) -> tuple[Interface, ...]:
    """Return the interfaces that a host has from its next start on."""
    stored = domain.read(host.xml(stored=True))
    infos = (domain.read(host.xml()), stored) if host.active else (stored,)
    return _interfaces(hypervisor, stored, {}, pending.interface_indexes(host.name, *infos))


def interface_indexes(host: Domain) -> dict[str, int]:
    """Return the index of each interface of a host by its MAC address."""
    texts = dict.fromkeys((host.xml(), host.xml(stored=True)))
    return pending.interface_indexes(host.name, *map(domain.read, texts))


def _addresses(host: Domain, *, agent: bool) -> dict[str, tuple[str, ...]]:
    """Return IP addresses by MAC address, from libvirt or the guest agent, then from ARP."""
    reported, seen = host.addresses(agent=agent), arp.addresses()
    return {
        # Without duplicates, in this order.
        mac: tuple(dict.fromkeys((*reported.get(mac, ()), *seen.get(mac, ()))))
        for mac in reported | seen
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


def disk(hypervisor: Hypervisor, host: str, row: DiskRow, data: Metadata | None) -> Disk:
    """Return the details of a disk in a host's XML."""
    path, size = row.path, None
    owned = data is not None and path in data.paths
    # The size of a disk outside of pools stays unknown: libvirt would ask QEMU, which may hang.
    with suppress(NotFound, Conflict):  # Conflict: its pool is inactive
        if volume := _volume(hypervisor, row):
            path, size = path or volume.path, volume.capacity
            default_name = names.volume(host, row.target)
            owned = owned or (data is not None and _is_listed(data, volume, default_name))
    return Disk(row.target, size, path, owned and row.removable)


def _volume(hypervisor: Hypervisor, row: DiskRow) -> Volume | None:
    """Return a disk's volume, by pool and name or by path; None for a disk without a source."""
    if row.volume:
        pool, name = row.volume
        return hypervisor.pool(pool).volume(name)
    return hypervisor.volume_at(row.path) if row.path else None


def _is_listed(data: Metadata, volume: Volume, default_name: str) -> bool:
    """Return whether the metadata list a volume.

    Its pool is not compared for a default name, which no other host's volume has: reading the pool
    costs a call to libvirt.
    """
    pools = [listed.pool for listed in data.volumes if listed.name == volume.name]
    return bool(pools) and (volume.name == default_name or volume.pool in pools)


def _interfaces(
    hypervisor: Hypervisor,
    info: domain.DomainInfo,
    addresses: dict[str, tuple[str, ...]],
    indexes: dict[str, int],
) -> tuple[Interface, ...]:
    @lru_cache
    def tags(name: str, portgroup: str | None) -> network.Tags:
        with suppress(NotFound):
            return network.read_tags(hypervisor.network(name).xml(), portgroup)
        return None, ()

    def of(row: InterfaceRow) -> network.Tags:
        own = row.vlan, row.trunk
        # A running domain's XML contains the tags that its ports were started with. Otherwise an
        # interface's tags take precedence over its port group's, and those over its network's.
        if row.network and not info.active and own == (None, ()):
            return tags(row.network, row.portgroup)
        return own

    return tuple(
        Interface(
            row.network,
            row.mac,
            *of(row),
            row.port,
            addresses.get(row.mac, ()),
            indexes[row.mac],
            row.link,
        )
        for row in info.interfaces
    )
