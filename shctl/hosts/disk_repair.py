"""Finish additions and removals of disks that were interrupted."""

from __future__ import annotations

from dataclasses import replace

from shctl.common import locks
from shctl.common.errors import Conflict, NotFound
from shctl.hosts.owned_disks import is_same, left_over
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.pools import Volume
from shctl.storage import holders, usage
from shctl.xml import domain, metadata
from shctl.xml.domain import DomainInfo
from shctl.xml.metadata import Metadata, OwnedVolume


def is_interrupted(host: Domain) -> bool:
    """Return whether a change of a disk was interrupted; normal while the host's lock is held."""
    data = domain.read(host.xml(stored=host.persistent)).metadata
    return data is not None and data.complete and any(volume.pending for volume in data.volumes)


def finish(hypervisor: Hypervisor, name: str) -> None:
    """Keep each pending volume that the stored definition has, and remove the others.

    A volume that is not named after the host is only removed from the metadata. Raises Conflict if
    something uses a volume, or its pool is inactive.
    """
    with locks.hold("host", name):
        host = hypervisor.domain(name)
        if not host.persistent or not is_interrupted(host):
            return
        info = domain.read(host.xml(stored=True))
        if data := info.metadata:
            listed = [kept for v in data.volumes if (kept := _finished(hypervisor, host, info, v))]
            _write(host, replace(data, volumes=tuple(listed), uuid=host.uuid))


def _finished(
    hypervisor: Hypervisor, host: Domain, info: DomainInfo, listed: OwnedVolume
) -> OwnedVolume | None:
    """Return a volume as the metadata lists it from now on, None if it has been removed."""
    if not listed.pending:
        return listed
    volume = _find(hypervisor, listed)
    if volume and any(is_same(hypervisor, row, volume) for row in info.disks):
        return replace(listed, pending=False)
    if volume and info.metadata:
        alone = replace(info.metadata, volumes=(listed,))
        for left in left_over(hypervisor, host.name, info, alone):
            _remove(hypervisor, left)
    return None


def _find(hypervisor: Hypervisor, listed: OwnedVolume) -> Volume | None:
    """Return a volume, None if it does not exist; raise Conflict if its pool is inactive."""
    try:
        pool = hypervisor.pool(listed.pool)
    except NotFound:
        return None
    if not pool.active:
        raise Conflict(
            f"pool {pool.name!r} is inactive; start it with 'virsh pool-start {pool.name}'"
        )
    return pool.volume(listed.name) if pool.has_volume(listed.name) else None


def _remove(hypervisor: Hypervisor, volume: Volume) -> None:
    path = volume.path
    if uses := usage.users_of(hypervisor, [path])[path]:
        users = ", ".join(sorted(set(map(str, uses))))
        raise Conflict(f"{path} is used by {users}; detach it there first")
    if path.startswith("/") and holders.is_locked(path):
        raise Conflict(f"a process has {path} open; stop that process first")
    volume.delete()


def _write(host: Domain, data: Metadata) -> None:
    host.set_metadata(metadata.text(data), metadata.URI, metadata.KEY)
