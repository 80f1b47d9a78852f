"""Check that the machine has enough memory for a new host."""

import os

from shctl.common.errors import NoSpace
from shctl.hypervisor.connection import Hypervisor


def check_memory(hypervisor: Hypervisor, name: str, memory: int, *, starts: bool) -> None:
    """Raise NoSpace when the machine has too little memory for a host of `memory` MiB.

    A host that starts shares it with the running ones; any other has to fit on its own.
    """
    if hypervisor.simulated:
        return
    # Changes are made on this machine only, so ask its kernel: in a container, libvirt 9.0 reports
    # the free memory as the total in virNodeGetInfo.
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    used = hypervisor.memory_in_use() if starts else 0
    if memory + used > total:
        taken = f", of which running hosts use {used} MiB" if starts else ""
        raise NoSpace(
            f"memory: host {name!r} needs {memory} MiB, but this machine has {total} MiB{taken};"
            " use --overcommit to create it anyway",
            field="memory",
        )
