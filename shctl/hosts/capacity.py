"""Hold a new host against what the machine has."""

import os

from shctl.common.errors import NoSpace
from shctl.hypervisor.connection import Hypervisor


def check_memory(hypervisor: Hypervisor, name: str, wanted: int, *, starts: bool) -> None:
    """Raise NoSpace when the machine lacks the memory for a host of `wanted` MiB.

    One that is to start shares it with those that run; another one has to fit in by itself.
    """
    if hypervisor.simulated:
        return
    # Changes are made on this machine only. What libvirt's nodeinfo calls the memory's size may be
    # what is free (9.0 in a container), so the kernel is asked.
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    used = hypervisor.memory_in_use() if starts else 0
    if wanted + used > total:
        taken = f", of which running hosts have {used}" if starts else ""
        raise NoSpace(
            f"memory: host {name!r} is to have {wanted} MiB, and this machine has {total}{taken};"
            " --overcommit creates it all the same",
            field="memory",
        )
