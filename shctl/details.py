"""Tell all about one host."""

from contextlib import suppress
from functools import lru_cache

from shctl import domain, names, network
from shctl.errors import NotFound
from shctl.hypervisor import Domain, Hypervisor
from shctl.metadata import Metadata
from shctl.model import Disk, HostDetail, Interface


def show(hypervisor: Hypervisor, name: str) -> HostDetail:
    """Return a host's hardware, state and what shctl knows about it; raise NotFound."""
    return detail(hypervisor, hypervisor.domain(name))


def detail(hypervisor: Hypervisor, host: Domain) -> HostDetail:
    """Return all about the host behind a handle."""
    read = domain.read(host.xml())
    data = read.metadata
    return HostDetail(
        id=host.uuid,
        name=host.name,
        state=host.state,
        managed=data is not None,
        memory=read.memory,
        cpus=read.cpus,
        firmware=read.firmware,
        autostart=host.persistent and host.autostart,
        created=data.created if data else None,
        console=read.console,
        disks=tuple(_disk(hypervisor, host.name, row, data) for row in read.disks),
        interfaces=_interfaces(hypervisor, read.interfaces),
    )


def _disk(hypervisor: Hypervisor, host: str, row: domain.DiskRow, data: Metadata | None) -> Disk:
    size = volume = None
    # A disk in no pool has no size that could be read without asking its QEMU, which may hang.
    if row.path:
        with suppress(NotFound):
            found = hypervisor.volume_at(row.path)
            size, volume = found.capacity, found.name
    owned = data is not None and (
        row.path in data.paths
        or (volume == names.volume(host, row.target) and volume in {v.name for v in data.volumes})
    )
    return Disk(row.target, size, row.path, owned)


def _interfaces(
    hypervisor: Hypervisor, rows: tuple[domain.InterfaceRow, ...]
) -> tuple[Interface, ...]:
    @lru_cache
    def tags(name: str) -> tuple[int | None, tuple[int, ...]]:
        with suppress(NotFound):
            read = network.read(hypervisor.network(name).xml())
            return read.vlan, read.trunk
        return None, ()

    # Only a running domain's own XML has the tags that its ports were started with.
    return tuple(
        Interface(
            row.network,
            row.mac,
            *((row.vlan, row.trunk) if row.port or not row.network else tags(row.network)),
            port=row.port,
        )
        for row in rows
    )
