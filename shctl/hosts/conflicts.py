"""Checks that the name, the volumes and the log of a new host are free."""

from __future__ import annotations

from contextlib import suppress

from shctl.common import files
from shctl.common.errors import Conflict, NotFound
from shctl.common.model import HostDetail
from shctl.hosts import console_log, log_writers, nvram
from shctl.hosts.request import Request
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definitions
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.pools import Pool
from shctl.storage import usage
from shctl.xml import domain
from shctl.xml.metadata import Metadata, OwnedVolume


def check_files_free(hypervisor: Hypervisor, spec: domain.Spec) -> None:
    """Raise Conflict when another host may use a file that a new host would own."""
    _check_log_free(hypervisor, spec.name)
    if spec.hardware.firmware == "uefi":
        nvram.check_free(hypervisor, spec.name)


def check_same(existing: HostDetail, request: Request) -> None:
    """Raise Conflict when the existing host, as it starts next, differs from the request."""
    pending = {change.key: change.value for change in existing.pending}
    have = {
        "memory": pending.get("memory", existing.max_memory),
        "cpus": pending.get("cpus", existing.cpus),
        "disks": tuple(disk.size for disk in existing.disks),
        "networks": tuple(interface.network for interface in existing.interfaces),
    }
    wants = {**vars(request), **vars(request.hardware)}
    for field, value in have.items():
        if value != (requested := wants[field]):
            raise Conflict(
                f"host {request.name!r} exists with different {field}: {_text(value)}, not"
                f" {_text(requested)}"
            )


def _text(value: object) -> str:
    parts = value if isinstance(value, tuple) else (value,)
    return ", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in parts)


def check_volumes_free(hypervisor: Hypervisor, pool: Pool, data: Metadata) -> None:
    """Raise Conflict when a volume that the metadata of a new host lists already exists."""
    for volume in data.volumes:
        if pool.has_volume(volume.name):
            raise Conflict(
                f"pool {pool.name!r} has a volume {volume.name!r} already,"
                f" {_describe_owner(hypervisor, pool, volume)}"
            )


def _check_log_free(hypervisor: Hypervisor, name: str) -> None:
    """Raise Conflict when another host, such as a copy, writes to the new host's console log."""
    path = console_log.log_path(name)
    if not files.exists(path):
        return
    for definition in Definitions(hypervisor).all():
        host = definition.host
        if log_writers.may_log_to(path, definition):
            raise Conflict(
                f"the console log of host {name!r} would be {path}, to which host {host.name!r}"
                f" may write; choose another name, or change that log with 'virsh edit {host.name}'"
            )


def _describe_owner(hypervisor: Hypervisor, pool: Pool, listed: OwnedVolume) -> str:
    """Return which hosts use a volume; after `virsh domrename` a host keeps its old volumes."""
    holders = {host.name for host in hypervisor.domains() if _lists(host, listed)}
    path = pool.volume(listed.name).path
    holders.update(map(str, usage.users_of(hypervisor, [path])[path]))
    if holders:
        return f"which belongs to {', '.join(sorted(holders))}; choose another name"
    return (
        "which belongs to no host of this name; check what it holds, then remove it with"
        f" 'virsh vol-delete {listed.name} {pool.name}'"
    )


def _lists(host: Domain, volume: OwnedVolume) -> bool:
    with suppress(NotFound):  # the host was deleted meanwhile
        # The XML of a hung host may not be readable; usage finds its open disks without it.
        xml = "" if host.hung else host.xml(stored=True)
        data = domain.read(xml).metadata if domain.mentions(xml, volume.name) else None
        return data is not None and volume in data.volumes
    return False
