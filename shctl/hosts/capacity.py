"""Check that the machine has enough memory for a host."""

import os
from dataclasses import dataclass

from shctl.common.errors import NoSpace
from shctl.hypervisor import machine
from shctl.hypervisor.connection import Hypervisor


@dataclass(frozen=True)
class Memory:
    """The machine's memory, in MiB, and how much of it running hosts may use at most.

    `used` is None for a host that does not start now, so that it has to fit on its own.
    """

    total: int
    used: int | None


def read_memory(hypervisor: Hypervisor, *, starts: bool) -> Memory | None:
    """Return the memory that a host has to fit in, None if the hypervisor is simulated."""
    if hypervisor.simulated:
        return None
    # Changes are made on this machine only, so ask its kernel: in a container, libvirt 9.0 reports
    # the free memory as the total in virNodeGetInfo.
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return Memory(total, machine.usage(hypervisor).memory if starts else None)


def check_memory(name: str, needed: int, memory: Memory | None, verb: str = "create") -> None:
    """Raise NoSpace when the machine has too little memory for a host; `needed` in MiB."""
    if memory is None or needed + (memory.used or 0) <= memory.total:
        return
    used = "" if memory.used is None else f", of which running hosts use {memory.used} MiB"
    raise NoSpace(
        f"memory: host {name!r} needs {needed} MiB, but this machine has"
        f" {memory.total} MiB{used}; use --overcommit to {verb} it anyway",
        field="memory",
    )
