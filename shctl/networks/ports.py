"""Tell the ports that outlived their hosts from those of other owners, which are left alone.

Open vSwitch cannot say who made a row: OVN, container engines and DPDK write vm-id too. So a row
counts as left over only when libvirt knows its host, or shctl deleted that host, the host does not
run, the Interface has no type, and no network namespace has a device of its name.
"""

import re
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from shctl.common import locks
from shctl.common.errors import Conflict
from shctl.hypervisor.connection import Hypervisor
from shctl.networks import devices, openvswitch
from shctl.networks.openvswitch import PortRow

_GENERATED = re.compile(r"vnet\d+", re.ASCII)  # names that libvirt makes up
_MOST_NOTES = 1000  # deleted hosts that are remembered


def stale(hypervisor: Hypervisor) -> list[PortRow]:
    """Return the rows of ports that are certain to have outlived their hosts."""
    return outlived(openvswitch.ports(), lambda: dead_hosts(hypervisor))


def outlived(rows: Iterable[PortRow], dead: Callable[[], Collection[str]]) -> list[PortRow]:
    """Return the rows of libvirt's ports that no device stands behind.

    `dead` returns the UUIDs of hosts that do not run.
    """
    suspects = [row for row in rows if is_libvirts(row)]
    known = dead() if suspects else ()
    suspects = [row for row in suspects if row.domain in known]
    if not suspects:
        return []
    found = devices.everywhere()
    return [row for row in suspects if found.complete and row.name not in found.names]


def unclear(hypervisor: Hypervisor) -> list[PortRow]:
    """Return the rows with a name of libvirt's that may have outlived their host, or may not.

    libvirt does not know the host, or some network namespace cannot be asked.
    """
    rows = [row for row in openvswitch.ports() if is_libvirts(row)]
    rows = [row for row in rows if _GENERATED.fullmatch(row.name)]
    if not rows:
        return []
    running, found = hypervisor.active_uuids(), devices.everywhere()
    dead = dead_hosts(hypervisor) if found.complete else set()
    known = running | dead
    return [row for row in rows if row.domain not in known and row.name not in found.names]


def is_libvirts(row: PortRow) -> bool:
    """Tell whether a row looks like one of libvirt's."""
    # Nor does libvirt make a name that ovs-vsctl would read as an option.
    return bool(row.domain) and not row.type and not row.name.startswith("-")


def dead_hosts(hypervisor: Hypervisor) -> set[str]:
    """Return the UUIDs of the hosts that do not run, with those that shctl deleted."""
    deleted = set(_noted())
    if deleted:
        deleted -= {host.uuid for host in hypervisor.domains()}
    return deleted | hypervisor.inactive_uuids()


def in_the_way(rows: Iterable[PortRow], names: Collection[str], host: str) -> PortRow | None:
    """Return a row of another owner that libvirt may take for the port of a host to start.

    It would remove that row, too, when the host stops. `names` are those that the host's XML gives
    its ports, `host` is its UUID.
    """
    others = [row for row in rows if row.domain != host]
    for row in others:
        if row.name in names:
            return row
    rows = [row for row in others if _GENERATED.fullmatch(row.name)]
    if not rows:
        return None
    # libvirt skips a name that a device of its own namespace has.
    here = devices.here()
    rows = [row for row in rows if row.name not in here]
    used = devices.everywhere().names if rows else frozenset()
    return next((row for row in rows if row.type or row.name in used), None)


def note_deleted(uuid: str) -> None:
    """Remember a host that is being deleted: a row that libvirt left of it has no other owner."""
    with suppress(OSError, Conflict), locks.hold("notes", "deleted hosts", patience=1):
        file = _notes()
        new = file.with_suffix(".new")
        new.write_text("\n".join([*_noted(), uuid][-_MOST_NOTES:]) + "\n")
        new.replace(file)


def _noted() -> list[str]:
    try:
        return _notes().read_text().split()
    except FileNotFoundError:
        return []


def _notes() -> Path:
    # As long as the machine is up: a row that is left then is that of a host that libvirt knows.
    return locks.directory().parent / "deleted-hosts"
