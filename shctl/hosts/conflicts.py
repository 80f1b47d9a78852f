"""What a new host may run into: a name, or volumes, that are taken."""

from __future__ import annotations

from contextlib import suppress

from shctl.common import files
from shctl.common.errors import Conflict, NotFound
from shctl.common.model import HostDetail
from shctl.hosts import console_log, details, power
from shctl.hosts.request import Request
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.handles import Domain
from shctl.hypervisor.pools import Pool
from shctl.storage import usage
from shctl.xml import domain
from shctl.xml.metadata import Metadata, OwnedVolume


def existing(hypervisor: Hypervisor, request: Request) -> Domain | None:
    """Return the host that is to be kept as it is, None where there is none."""
    host = hypervisor.find_domain(request.name)
    if host is None:
        return None
    power.check_whole(host)
    if request.if_not_exists:
        _check_same(details.detail(hypervisor, host), request)
        return host
    raise Conflict(
        f"host {host.name!r} exists already; 'shctl hosts delete {host.name}' removes it,"
        " --if-not-exists keeps it"
    )


def _check_same(existing: HostDetail, request: Request) -> None:
    """Raise Conflict for another host of this name, which the caller would take for its own."""
    have = {
        "memory": existing.max_memory,
        "cpus": existing.max_cpus,
        "disks": tuple(disk.size for disk in existing.disks),
        "networks": tuple(interface.network for interface in existing.interfaces),
    }
    for field, value in have.items():
        if value != (wanted := getattr(request, field)):
            raise Conflict(
                f"host {request.name!r} exists with other {field}: {_words(value)}, not"
                f" {_words(wanted)}"
            )


def _words(value: object) -> str:
    parts = value if isinstance(value, tuple) else (value,)
    return ", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in parts)


def check_volumes_free(hypervisor: Hypervisor, pool: Pool, data: Metadata) -> None:
    """Raise Conflict when a volume is there already that the metadata of a new host lists."""
    for wanted in data.volumes:
        if pool.has_volume(wanted.name):
            raise Conflict(
                f"pool {pool.name!r} has a volume {wanted.name!r} already,"
                f" {_whose(hypervisor, pool, wanted)}"
            )


def check_log_free(hypervisor: Hypervisor, name: str) -> None:
    """Raise Conflict when another host writes to the log of a new one, as a copy of an old may."""
    path = console_log.log_path(name)
    if not files.is_there(path):
        return
    for host in hypervisor.domains():
        if console_log.may_log_to(path, host):
            raise Conflict(
                f"the console's log of host {name!r} would be {path}, to which host {host.name!r}"
                f" may write; choose another name, or change that with 'virsh edit {host.name}'"
            )


def _whose(hypervisor: Hypervisor, pool: Pool, wanted: OwnedVolume) -> str:
    """Return words for whose a volume is: `virsh domrename` leaves a host its old volumes."""
    holders = {host.name for host in hypervisor.domains() if _lists(host, wanted)}
    path = pool.volume(wanted.name).path
    holders.update(map(str, usage.users_of(hypervisor, [path])[path]))
    if holders:
        return f"which belongs to {', '.join(sorted(holders))}; choose another name"
    return (
        "which belongs to no host of this name; look at it,"
        f" then 'virsh vol-delete {wanted.name} {pool.name}'"
    )


def _lists(host: Domain, volume: OwnedVolume) -> bool:
    with suppress(NotFound):  # a host that went in the meantime
        # A hung one may keep its XML to itself; what it has open is known without.
        xml = "" if host.hung else host.xml(stored=True)
        data = domain.read(xml).metadata if domain.mentions(xml, volume.name) else None
        return data is not None and volume in data.volumes
    return False
