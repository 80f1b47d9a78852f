"""Measure how much space a storage pool has, and check that a disk fits."""

import os

from shctl.common.errors import Conflict, NoSpace, TimedOut
from shctl.common.timeout import Call, begin
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.pools import Pool, Space
from shctl.xml.storage import read_pool

_ON_FILE_SYSTEMS = ("dir", "fs", "netfs")  # types of pools
_TIMEOUT = 1.0  # seconds; a network file system may hang
_hung: dict[str, Call[os.statvfs_result]] = {}  # the last call for a path that timed out


def measure(hypervisor: Hypervisor, pool: Pool, known: Space) -> Space:
    """Return the space of an active pool, of which libvirt says `known`.

    libvirt measures a pool when it is refreshed, so the growth of sparse volumes since then is
    missing; the file system has the current numbers. Raise Conflict or TimedOut if it cannot be
    read.
    """
    if not hypervisor.is_local:
        return known
    info = read_pool(pool.xml())
    return _file_system(pool.name, info.path) if info.type in _ON_FILE_SYSTEMS else known


def check_room(hypervisor: Hypervisor, pool: Pool, gib: float, what: str) -> None:
    """Raise NoSpace unless an active pool has `gib` GiB left for `what`.

    A disk may be sparse, but QEMU pauses a guest whose disk cannot grow.
    """
    known = pool.space()
    free = measure(hypervisor, pool, known).available / 2**30 if known else 0
    if gib > free:
        raise NoSpace(
            f"{what} needs {gib:g} GiB, and pool {pool.name!r} has {free:.1f} GiB left; request"
            " less, or make room",
            field="size",
        )


def _file_system(pool: str, path: str) -> Space:
    what = f"cannot read the file system of pool {pool!r}"
    late = TimedOut(f"{what}: no response within {_TIMEOUT:g} s")
    # Each call that hangs takes a thread, and monitoring would start one more at each scrape.
    if path in _hung and not _hung[path].finished:
        raise late
    call = begin(lambda: os.statvfs(path))
    try:
        found = call.result(_TIMEOUT, late)
    except TimedOut:
        _hung[path] = call
        raise
    except OSError as error:
        raise Conflict(f"{what}: {error.strerror}") from error
    # Not f_bfree, which includes blocks for root only: QEMU is another user.
    blocks = (found.f_blocks, found.f_blocks - found.f_bfree, found.f_bavail)
    return Space(*(number * found.f_frsize for number in blocks))
