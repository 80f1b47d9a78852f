"""Check hosts: what was begun and not ended, and disks that are missing or nobody's."""

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from shctl.common.errors import NotFound
from shctl.common.model import Finding
from shctl.doctor.snapshot import Found, is_so, look, read
from shctl.hosts import deletion, redefinition, stalls
from shctl.hosts import installation as installs
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.pools import Pool
from shctl.storage import usage, volumes
from shctl.xml.metadata import FINISHING, INSTALLED, OwnedVolume

_VOLUME = re.compile(r"(.+)-sd[a-z]+")


def interrupted(hypervisor: Hypervisor) -> Found:
    """Find hosts whose creation or deletion was interrupted."""
    for host, _, data in look(hypervisor).ours:
        if not data.complete and is_so(host.name, partial(deletion.is_interrupted, host)):
            problem = "its creation or deletion was interrupted"
            yield (
                Finding("host", host.name, problem, "--fix deletes it"),
                partial(deletion.finish, hypervisor, host.name),
            )


def installs_open(hypervisor: Hypervisor) -> Found:
    """Find installations that are over, and that nobody has brought to their end."""
    for host, _, data in look(hypervisor).ours:
        if data.install and data.complete and is_so(host.name, partial(_is_over, host)):
            problem = "its installation has ended, or its time is over, and nobody saw to it"
            yield (
                Finding("host", host.name, problem, "--fix brings it to its end"),
                partial(installs.advance, hypervisor, host.name),
            )


def _is_over(host: Domain) -> bool:
    data = read(host).metadata
    if data is None or data.install is None:
        return False
    if data.install.late:
        return not host.active
    over = data.install.phase == FINISHING or data.install.overdue or not host.active
    return data.install.open and over


def installs_redefined(hypervisor: Hypervisor) -> Found:
    """Find hosts that another program redefined or undefined while they were being installed."""
    for host, _ in look(hypervisor).hosts:
        with suppress(NotFound):
            if problem := _redefined(host):
                remedy = f"correct its definition with 'virsh edit {host.name}', or delete it"
                yield Finding("host", host.name, problem, remedy), None


def _redefined(host: Domain) -> str | None:
    data = installs.find_metadata(host)
    # What somebody makes of a host that has been installed is no longer about its installer.
    if data is None or data.install is None or data.install.phase == INSTALLED or host.hung:
        return None
    return redefinition.problem(host)


def stuck(hypervisor: Hypervisor) -> Found:
    """Find hosts whose guest does not run because of a fault, such as a full disk."""
    for host in hypervisor.domains():
        with suppress(NotFound):
            if (stall := stalls.find(hypervisor, host)) and stall.is_fault:
                yield Finding("host", host.name, f"it {stall.why}", stall.remedy), None


def pools_inactive(hypervisor: Hypervisor) -> Found:
    """Find pools of our hosts that are inactive."""
    used = {volume.pool for _, _, data in look(hypervisor).ours for volume in data.volumes}
    for name in sorted(used | {volumes.DEFAULT_POOL}):
        with suppress(NotFound):
            if not hypervisor.pool(name).active:
                problem = "it is inactive, so the disks in it can neither be used nor examined"
                yield Finding("pool", name, problem, f"'virsh pool-start {name}'"), None


def _active_pool(hypervisor: Hypervisor, name: str) -> Pool | None:
    pool = hypervisor.pool(name)
    return pool if pool.active else None


def volumes_missing(hypervisor: Hypervisor) -> Found:
    """Find volumes that hosts list and that are not there."""
    for host, _, data in look(hypervisor).ours:
        for volume in data.volumes if data.complete else ():
            if is_so(host.name, partial(_is_missing, hypervisor, host, volume)):
                problem = f"its volume {volume.name} is not in pool {volume.pool}"
                remedy = f"restore it, or 'shctl hosts delete {host.name}'"
                yield Finding("host", host.name, problem, remedy), None


def _is_missing(hypervisor: Hypervisor, host: Domain, volume: OwnedVolume) -> bool:
    data = read(host).metadata
    if data is None or not data.complete:
        return False
    try:
        pool = _active_pool(hypervisor, volume.pool)
    except NotFound:
        return True
    return pool is not None and not pool.has_volume(volume.name)


def volumes_left(hypervisor: Hypervisor) -> Found:
    """Find volumes in the default pool that are named like ours and belong to no host."""
    with suppress(NotFound):
        if pool := _active_pool(hypervisor, volumes.DEFAULT_POOL):
            yield from _left_in(hypervisor, pool)


def _left_in(hypervisor: Hypervisor, pool: Pool) -> Found:
    def is_left(name: str) -> bool:
        return pool.has_volume(name) and name not in look(hypervisor).volumes

    # Only names that shctl gives: what else somebody keeps there is not ours.
    host_of = {match[0]: match[1] for match in map(_VOLUME.fullmatch, pool.volume_names()) if match}
    suspects = _paths(pool, host_of.keys() - look(hypervisor).volumes)
    used = usage.users_of(hypervisor, suspects.values())
    for name, path in sorted(suspects.items()):
        if not used[path] and is_so(host_of[name], partial(is_left, name)):
            # A name proves nothing: it may be a copy that somebody put there.
            remedy = f"look at it, then 'virsh vol-delete {name} {pool.name}'"
            yield Finding("volume", path, "it belongs to no host", remedy), None


def _paths(pool: Pool, names: Iterable[str]) -> dict[str, str]:
    """Return the paths of those volumes that are still there, by name."""
    found = {}
    for name in names:
        with suppress(NotFound):
            found[name] = pool.volume(name).path
    return found
