"""Find what the next start of a running host changes; no I/O."""

from shctl.common.model import Change
from shctl.xml.domain import DomainInfo

NOW, NEXT_START = "now", "next start"


def find(running: DomainInfo, stored: DomainInfo) -> tuple[Change, ...]:
    """Return in what a stored definition differs from the one that QEMU runs with.

    The value of `disks` is all their names. Of the memory the maximum counts: the guest changes
    the current size with its balloon.
    """
    memory = (running.max_memory, stored.max_memory)
    pairs = {"memory": memory} | {
        key: (getattr(running, key), getattr(stored, key))
        for key in ("cpus", "firmware", "virt_type")
    }
    pairs["disks"] = (_disks(running), _disks(stored))
    return tuple(
        Change(key, after, NEXT_START) for key, (before, after) in pairs.items() if before != after
    )


def _disks(info: DomainInfo) -> str:
    return ", ".join(row.target for row in info.disks)
