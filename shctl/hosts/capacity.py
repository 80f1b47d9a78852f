"""Check that the machine has enough memory for a new host."""

import os
from dataclasses import dataclass

from shctl.common.errors import NoSpace
from shctl.hosts.request import Request
from shctl.hypervisor.connection import Hypervisor


@dataclass(frozen=True)
class Memory:
    """The machine's memory, and how much of it running hosts may use at most, in MiB."""

    total: int
    used: int


def read_memory(hypervisor: Hypervisor, request: Request) -> Memory | None:
    """Return the memory that a new host has to fit in, None if it need not fit.

    A host that starts shares it with the running ones; any other has to fit on its own.
    """
    if request.overcommit or hypervisor.simulated:
        return None
    # Changes are made on this machine only, so ask its kernel: in a container, libvirt 9.0 reports
    # the free memory as the total in virNodeGetInfo.
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return Memory(total, hypervisor.memory_in_use() if request.starts else 0)


def check_memory(request: Request, memory: Memory | None) -> None:
    """Raise NoSpace when the machine has too little memory for the host."""
    needed = request.hardware.memory
    if memory is None or needed + memory.used <= memory.total:
        return
    used = f", of which running hosts use {memory.used} MiB" if request.starts else ""
    raise NoSpace(
        f"memory: host {request.name!r} needs {needed} MiB, but this machine has"
        f" {memory.total} MiB{used}; use --overcommit to create it anyway",
        field="memory",
    )
