"""Check hosts: unfinished operations, stalls, and missing or orphaned disks."""

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from shctl.common import defaults, files
from shctl.common.errors import NotFound
from shctl.common.model import Finding
from shctl.common.states import Phase
from shctl.doctor.snapshot import Found, read_info, recheck_locked, take_snapshot
from shctl.hosts import deletion, disk_repair, redefinition, stalls
from shctl.hosts import installation as installs
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.pools import Pool
from shctl.storage import usage
from shctl.xml.metadata import OwnedVolume

_VOLUME = re.compile(r"(.+)-sd[a-z]+")


def interrupted(hypervisor: Hypervisor) -> Found:
    """Find hosts whose creation or deletion was interrupted."""
    for host, _, data in take_snapshot(hypervisor).managed:
        if not data.complete and recheck_locked(host.name, partial(deletion.is_interrupted, host)):
            problem = "its creation or deletion was interrupted"
            yield (
                Finding("host", host.name, problem, "--fix deletes it"),
                partial(deletion.finish, hypervisor, host.name),
            )


def interrupted_changes(hypervisor: Hypervisor) -> Found:
    """Find hosts to which a disk was being added, or from which one was being removed."""
    for host, _, data in take_snapshot(hypervisor).managed:
        names = [volume.name for volume in data.volumes if volume.pending]
        if names and recheck_locked(host.name, partial(disk_repair.is_interrupted, host)):
            problem = f"adding or removing its volume {', '.join(names)} was interrupted"
            remedy = "--fix removes the volume if the host's definition does not have it"
            yield (
                Finding("host", host.name, problem, remedy),
                partial(disk_repair.finish, hypervisor, host.name),
            )


def unfinished_installations(hypervisor: Hypervisor) -> Found:
    """Find installations that ended or timed out without shctl finishing them."""
    for host, _, data in take_snapshot(hypervisor).managed:
        if data.install and data.complete and recheck_locked(host.name, partial(_is_over, host)):
            problem = "its installation ended or timed out, and shctl has not finished it"
            yield (
                Finding("host", host.name, problem, "--fix finishes it"),
                partial(installs.advance, hypervisor, host.name),
            )


def _is_over(host: Domain) -> bool:
    data = read_info(host).metadata
    if data is None or data.install is None:
        return False
    if data.install.late:
        return not host.active
    over = data.install.phase == Phase.FINISHING or data.install.overdue or not host.active
    return data.install.open and over


def redefined_installations(hypervisor: Hypervisor) -> Found:
    """Find hosts that another program redefined or undefined during their installation."""
    for host, _ in take_snapshot(hypervisor).hosts:
        with suppress(NotFound):
            if problem := _redefined(host):
                remedy = f"correct its definition with 'virsh edit {host.name}', or delete it"
                yield Finding("host", host.name, problem, remedy), None


def _redefined(host: Domain) -> str | None:
    data = installs.find_metadata(host)
    # Changes after the installation do not affect the installer.
    if data is None or data.install is None or data.install.phase == Phase.INSTALLED or host.hung:
        return None
    return redefinition.problem(host)


def stalled(hypervisor: Hypervisor) -> Found:
    """Find hosts whose guest does not run because of a fault, such as a full disk."""
    for host in hypervisor.domains():
        with suppress(NotFound):
            if (stall := stalls.find(hypervisor, host)) and stall.is_fault:
                yield Finding("host", host.name, f"it {stall.why}", stall.remedy), None


def inactive_pools(hypervisor: Hypervisor) -> Found:
    """Find inactive pools that hold disks of managed hosts."""
    snapshot = take_snapshot(hypervisor)
    used = {volume.pool for _, _, data in snapshot.managed for volume in data.volumes}
    # The default pool too: new hosts need it.
    for name in sorted(used | {defaults.POOL}):
        with suppress(NotFound):
            if not hypervisor.pool(name).active:
                problem = "it is inactive, so its volumes can be neither used nor checked"
                yield Finding("pool", name, problem, f"start it: 'virsh pool-start {name}'"), None


def _active_pool(hypervisor: Hypervisor, name: str) -> Pool | None:
    pool = hypervisor.pool(name)
    return pool if pool.active else None


def missing_volumes(hypervisor: Hypervisor) -> Found:
    """Find volumes that are listed in a host's metadata but do not exist."""
    for host, _, data in take_snapshot(hypervisor).managed:
        # `interrupted` reports a host that is incomplete, `interrupted_changes` a pending volume.
        certain = [volume for volume in data.volumes if data.complete and not volume.pending]
        for volume in certain:
            if recheck_locked(host.name, partial(_is_missing, hypervisor, host, volume)):
                problem = f"its volume {volume.name} is not in pool {volume.pool}"
                remedy = f"restore it, or delete the host: 'shctl hosts delete {host.name}'"
                yield Finding("host", host.name, problem, remedy), None


def _is_missing(hypervisor: Hypervisor, host: Domain, volume: OwnedVolume) -> bool:
    data = read_info(host).metadata
    if data is None or not data.complete:
        return False
    try:
        pool = _active_pool(hypervisor, volume.pool)
    except NotFound:
        return True
    # libvirt lists no volumes of an inactive pool, which `inactive_pools` reports.
    return pool is not None and not pool.has_volume(volume.name)


def lost_files(hypervisor: Hypervisor) -> Found:
    """Find files that an adopted host owns, and that are none of its disks any more."""
    for host, _, data in take_snapshot(hypervisor).managed:
        for path in data.paths if data.complete else ():
            if recheck_locked(host.name, partial(_is_lost, hypervisor, host, path)):
                problem = f"it owns {path}, which is none of its disks any more"
                # No automatic fix: only the definition of a host proves that a file is its own.
                remedy = "check that file, then remove it, or attach it to the host again"
                yield Finding("host", host.name, problem, remedy), None


def _is_lost(hypervisor: Hypervisor, host: Domain, path: str) -> bool:
    info = read_info(host)
    if not info.metadata or path not in info.metadata.paths or not host.persistent:
        return False
    # A file that cannot be seen is not certainly there.
    with suppress(files.Unreadable):
        own = {usage.identity(hypervisor, row.path) for row in info.disks if row.path}
        return files.exists(path) and usage.identity(hypervisor, path) not in own
    return False


def orphaned_volumes(hypervisor: Hypervisor) -> Found:
    """Find volumes in the default pool that are named like shctl's and belong to no host."""
    with suppress(NotFound):
        if pool := _active_pool(hypervisor, defaults.POOL):
            yield from _orphaned_in(hypervisor, pool)


def _orphaned_in(hypervisor: Hypervisor, pool: Pool) -> Found:
    def is_orphaned(name: str) -> bool:
        return pool.has_volume(name) and name not in take_snapshot(hypervisor).volumes

    # Only names that shctl gives to volumes: all others are somebody else's.
    host_of = {match[0]: match[1] for match in map(_VOLUME.fullmatch, pool.volume_names()) if match}
    suspects = _paths(pool, host_of.keys() - take_snapshot(hypervisor).volumes)
    used = usage.users_of(hypervisor, suspects.values())
    for name, path in sorted(suspects.items()):
        if not used[path] and recheck_locked(host_of[name], partial(is_orphaned, name)):
            # No automatic fix: a name proves nothing, it may be a copy that somebody made.
            remedy = f"check it, then delete it: 'virsh vol-delete {name} {pool.name}'"
            yield Finding("volume", path, "it belongs to no host", remedy), None


def _paths(pool: Pool, names: Iterable[str]) -> dict[str, str]:
    """Return the paths of the volumes that still exist, by name."""
    found = {}
    for name in names:
        with suppress(NotFound):
            found[name] = pool.volume(name).path
    return found
