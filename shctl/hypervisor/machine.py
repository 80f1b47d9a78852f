"""Read the machine of a hypervisor: its name, memory, processors and versions.

No call of this module waits for a QEMU, which may be hung.
"""

from contextlib import suppress
from dataclasses import dataclass

from shctl.common.errors import NotFound
from shctl.common.status import Machine
from shctl.hypervisor.binding import api, translated
from shctl.hypervisor.connection import Hypervisor


@dataclass(frozen=True)
class Memory:
    """The machine's memory in MiB; `available` is free memory, buffers and page cache."""

    total: int
    available: int


@dataclass(frozen=True)
class Usage:
    """What all running hosts together have: their maximum memory in MiB, and their processors."""

    memory: int
    cpus: int


def describe(hypervisor: Hypervisor) -> Machine:
    """Return the machine's name, and the URI and the driver of the connection."""
    connection = hypervisor.connection
    with translated("cannot read the hypervisor's name"):
        return Machine(connection.getHostname(), connection.getURI(), connection.getType())


def memory(hypervisor: Hypervisor) -> Memory:
    """Return the machine's memory."""
    connection = hypervisor.connection
    with translated("cannot read the hypervisor's memory"):
        if hypervisor.simulated:  # the test driver has no getMemoryStats, and counts in KiB
            return Memory(connection.getInfo()[1], connection.getFreeMemory() // 1024)
        # Not getInfo: in a container, libvirt 9.0 reports the free memory there as the total.
        stats = connection.getMemoryStats(api.VIR_NODE_MEMORY_STATS_ALL_CELLS)
    available = sum(stats.get(kind, 0) for kind in ("free", "buffers", "cached"))
    return Memory(stats["total"] // 1024, available // 1024)  # from KiB


def processors(hypervisor: Hypervisor) -> int:
    """Return the number of the machine's processors."""
    connection = hypervisor.connection
    with translated("cannot read the hypervisor's processors"):
        return int(connection.getInfo()[2])


def usage(hypervisor: Hypervisor) -> Usage:
    """Return what all running hosts together have."""
    connection = hypervisor.connection
    # Not getAllDomainStats, which asks each QEMU for its balloon: with NOWAIT too, unless another
    # call is waiting for that QEMU already.
    with translated("cannot list running hosts"):
        running = connection.listAllDomains(api.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    total = cpus = 0
    for domain in running:
        with suppress(NotFound), translated(f"cannot read host {domain.name()!r}"):
            _, maximum, _, number, _ = domain.info()
            total, cpus = total + maximum, cpus + number
    return Usage(total // 1024, cpus)  # from KiB


def library_version() -> str:
    """Return the version of libvirt's library."""
    return _version(api.getVersion())


def daemon_version(hypervisor: Hypervisor) -> str:
    """Return the version of libvirt's daemon, or of the library if there is none."""
    connection = hypervisor.connection
    with translated("cannot read libvirtd's version"):
        return _version(connection.getLibVersion())


def qemu_version(hypervisor: Hypervisor) -> str | None:
    """Return the version of QEMU, None if libvirt's driver is another one."""
    connection = hypervisor.connection
    with translated("cannot read QEMU's version"):
        return _version(connection.getVersion()) if connection.getType() == "QEMU" else None


def _version(number: int) -> str:
    """Return a version that libvirt encodes as 1,000,000 * major + 1,000 * minor + release."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
