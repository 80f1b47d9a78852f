"""Collect the state of a hypervisor; a part that cannot be read does not stop the others."""

import os
import platform
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from shctl import __version__
from shctl.common.errors import NotFound, ShctlError, Unreachable
from shctl.common.states import PoolState
from shctl.common.status import CpuUse, HostCount, MemoryUse, PoolUse, Status, Unread, Versions
from shctl.hypervisor import machine
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.pools import Pool
from shctl.networks import vlans
from shctl.networks.choice import switch_of
from shctl.networks.switch import PortRow
from shctl.storage import space

T = TypeVar("T")
_GIB = 2**30


def collect(hypervisor: Hypervisor) -> Status:
    """Return the state of a hypervisor; raise Unreachable if libvirt does not respond.

    Nothing else is an error: `problems` of the result has the parts that could not be read. No
    part waits for a QEMU, which may be hung.
    """
    reader = _Reader(hypervisor)
    memory, cpus = reader.read(_capacity, "memory", "cpus") or (None, None)
    ports = reader.read(_ports, "vlans", "versions.openvswitch", tolerant=True)
    return Status(
        hypervisor=reader.read(machine.describe, "hypervisor"),
        memory=memory,
        cpus=cpus,
        pools=reader.read(reader.pools, "pools"),
        hosts=reader.read(_hosts, "hosts"),
        vlans=reader.read(lambda found: vlans.in_use(found, ports or ()), "vlans"),
        versions=reader.versions(with_switch=ports is not None),
        problems=tuple(reader.problems),
    )


class _Reader:
    """Reads the parts; `problems` are those that could not be read, with the reasons."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self.problems: list[Unread] = []

    def read(
        self, function: Callable[[Hypervisor], T], *parts: str, tolerant: bool = False
    ) -> T | None:
        """Return what a function returns, None if it fails.

        Raise Unreachable, which means that libvirt does not respond, unless `tolerant`.
        """
        try:
            return function(self._hypervisor)
        except ShctlError as error:
            if isinstance(error, Unreachable) and not tolerant:
                raise
            self.problems += [Unread(part, error.detail) for part in parts]
            return None

    def pools(self, hypervisor: Hypervisor) -> tuple[PoolUse, ...]:
        """Return all pools, sorted by name."""
        found = []
        for pool in sorted(hypervisor.pools(), key=lambda pool: pool.name):
            with suppress(NotFound):  # deleted meanwhile
                found.append(self._pool(pool))
        return tuple(found)

    def _pool(self, pool: Pool) -> PoolUse:
        known = pool.space()
        if known is None:
            return PoolUse(pool.name, PoolState.INACTIVE, None, None, None)
        part = f"pools.{pool.name}"
        found = self.read(lambda hypervisor: space.measure(hypervisor, pool, known), part)
        if found is None:
            return PoolUse(pool.name, PoolState.ACTIVE, None, None, None)
        sizes = (found.capacity, found.allocation, found.available)
        return PoolUse(pool.name, PoolState.ACTIVE, *(size / _GIB for size in sizes))

    def versions(self, *, with_switch: bool) -> Versions:
        """Return all versions; that of the switch only if it responds."""
        switch = switch_of(self._hypervisor)
        part = "versions.openvswitch"
        return Versions(
            shctl=__version__,
            libvirt=machine.library_version(),
            libvirtd=self.read(machine.daemon_version, "versions.libvirtd"),
            qemu=self.read(machine.qemu_version, "versions.qemu"),
            openvswitch=self.read(lambda _: switch.version(), part, tolerant=True)
            if with_switch
            else None,
            python=platform.python_version(),
            kernel=os.uname().release,
        )


def _capacity(hypervisor: Hypervisor) -> tuple[MemoryUse, CpuUse]:
    usage, memory = machine.usage(hypervisor), machine.memory(hypervisor)
    cpus = machine.processors(hypervisor)
    free = max(0, memory.total - usage.memory)
    return (
        MemoryUse(memory.total, usage.memory, free, memory.available),
        CpuUse(cpus, usage.cpus, max(0, cpus - usage.cpus)),
    )


def _ports(hypervisor: Hypervisor) -> list[PortRow]:
    return switch_of(hypervisor).ports()


def _hosts(hypervisor: Hypervisor) -> tuple[HostCount, ...]:
    states = Counter(host.state for host in hypervisor.hosts())
    return tuple(HostCount(state, number) for state, number in sorted(states.items()))
