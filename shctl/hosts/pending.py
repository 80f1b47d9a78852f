"""Find what the next start of a running host changes; no I/O."""

from shctl.common import names
from shctl.common.model import Change
from shctl.xml.domain import DomainInfo

Pairs = dict[str, tuple[str | int | None, str | int | None]]
NOW, NEXT_START = "now", "next start"


def find(name: str, running: DomainInfo, stored: DomainInfo) -> tuple[Change, ...]:
    """Return in what a stored definition differs from the one that QEMU runs with.

    The value of `disks` is all their names. Of the memory the maximum counts: the guest changes
    the current size with its balloon.
    """
    memory = (running.max_memory, stored.max_memory)
    pairs: Pairs = {"memory": memory} | {
        key: (getattr(running, key), getattr(stored, key))
        for key in ("cpus", "firmware", "virt_type")
    }
    pairs["disks"] = (_disks(running), _disks(stored))
    pairs |= _interfaces(name, running, stored)
    return tuple(
        Change(key, after, NEXT_START) for key, (before, after) in pairs.items() if before != after
    )


def _disks(info: DomainInfo) -> str:
    return ", ".join(row.target for row in info.disks)


def _interfaces(name: str, running: DomainInfo, stored: DomainInfo) -> Pairs:
    """Return networks and links, with None for interfaces that are missing."""
    pairs: Pairs = {}
    before, after = ({row.mac: row for row in info.interfaces} for info in (running, stored))
    for mac, index in interface_indexes(name, running, stored).items():
        for key in ("network", "link"):
            values = [getattr(rows.get(mac), key, None) for rows in (before, after)]
            pairs[f"interfaces.{index}.{key}"] = (values[0], values[1])
    return pairs


def interface_indexes(name: str, *infos: DomainInfo) -> dict[str, int]:
    """Return the index of each interface by its MAC address, the same in all commands.

    The stored definition of a running host has to be the last one.
    """
    rows = [row for info in reversed(infos) for row in info.interfaces]
    return names.interface_indexes(name, [row.mac for row in rows])
