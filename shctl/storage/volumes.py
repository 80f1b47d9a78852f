"""Create volumes, and the default pool at its first use."""

import os
from contextlib import suppress

from shctl.common import defaults, locks, paths
from shctl.common.errors import Conflict, InvalidInput, NotFound
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.ownership import Owner
from shctl.hypervisor.pools import Pool, Volume
from shctl.xml.disk_device import Source
from shctl.xml.storage import build_pool, build_volume, read_pool


def open_pool(hypervisor: Hypervisor, name: str) -> Pool:
    """Return an active pool; the default one is created at its first use, others must be active.

    Starting a pool builds it, which formats the devices of some types. So only a default pool that
    is a directory is started.
    """
    try:
        pool = hypervisor.pool(name)
    except NotFound as error:
        if name != defaults.POOL:
            raise InvalidInput(
                f"pool: {error}; 'virsh pool-list --all' shows all", field="pool"
            ) from error
        pool = _make_default(hypervisor)
    if pool.active:
        return pool
    if name != defaults.POOL or read_pool(pool.xml()).type != "dir":
        raise inactive_pool(name)
    _start(pool)
    return pool


def inactive_pool(name: str) -> InvalidInput:
    """Return the error for a pool that is not active and may not be started."""
    return InvalidInput(
        f"pool: pool {name!r} is inactive; start it with 'virsh pool-start {name}'", field="pool"
    )


def check_default_pool(hypervisor: Hypervisor, *, exists: bool) -> None:
    """Raise the error that open_pool would raise for a default pool that is not active."""
    if not exists:
        _check_directory_free(hypervisor)
    elif read_pool(hypervisor.pool(defaults.POOL).xml()).type != "dir":
        raise inactive_pool(defaults.POOL)


def _start(pool: Pool) -> None:
    # Another process may be starting the pool at this moment.
    with locks.hold("pool", pool.name):
        if not pool.active:
            pool.start()


def _make_default(hypervisor: Hypervisor) -> Pool:
    _check_directory_free(hypervisor)
    # Another process may create the pool at this moment.
    with suppress(Conflict):
        return hypervisor.define_pool(build_pool(defaults.POOL, str(paths.volumes())))
    return hypervisor.pool(defaults.POOL)


def _check_directory_free(hypervisor: Hypervisor) -> None:
    """Raise Conflict if another pool uses the default pool's directory, by any path."""
    for name in hypervisor.pool_names():
        with suppress(NotFound):  # deleted meanwhile
            path = read_pool(hypervisor.pool(name).xml()).path
            if name != defaults.POOL and os.path.realpath(path) == os.path.realpath(
                paths.volumes()
            ):
                raise Conflict(
                    f"pool: the directory of the default pool, {paths.volumes()}, belongs to"
                    f" pool {name!r}; use it with '--pool {name}'",
                    field="pool",
                )


def create_volume(pool: Pool, name: str, size: int, owner: Owner | None = None) -> Volume:
    """Create a raw volume of `size` GiB, sparse if the pool supports it, for `owner` if given.

    Raise Conflict if the name exists, NoSpace if the pool is full.
    """
    # A logical volume with less allocation than capacity is a snapshot, which breaks when full.
    sparse = read_pool(pool.xml()).type != "logical"
    numbers = (owner.user, owner.group) if owner else None
    return pool.create_volume(name, build_volume(name, size, sparse=sparse, owner=numbers))


def disk_source(pool: Pool, volume: Volume) -> Source:
    """Return the source of a domain's disk: the volume's path, or its name in a Ceph cluster."""
    return Source(volume.path, volume.is_block, read_pool(pool.xml()).ceph)
