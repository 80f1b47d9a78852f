"""Check the ports of hosts, and find stale ones.

Before a start, stale ports are removed. After QEMU was started paused, each port of the host must
have the bridge, tag and trunk of its interface: only then may the guest run. An interface that a
running host gets has no link until then.

Open vSwitch does not record who created a row: OVN, container engines and DPDK write vm-id too. So
a row is stale only if libvirt knows its host or shctl deleted that host, the host does not run (or
is about to get another interface, and has no such port), the Interface has no type, and no network
namespace has a device of its name. Other rows are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from shctl.common import locks, paths
from shctl.common.errors import Conflict
from shctl.networks import devices
from shctl.networks.choice import switch_of
from shctl.networks.switch import PortRow
from shctl.xml import domain

# stale_ports runs this at boot and must do so without libvirt.
if TYPE_CHECKING:
    from shctl.hypervisor.connection import Hypervisor
    from shctl.hypervisor.domain import Domain
    from shctl.xml.interfaces import InterfaceRow

_GENERATED = re.compile(r"vnet\d+", re.ASCII)  # names that libvirt generates
_MAX_DELETED = 1000  # UUIDs of deleted hosts that are kept


def check(hypervisor: Hypervisor, host: Domain, xml: str | None = None) -> None:
    """Raise Conflict unless each port of a running host carries exactly its interface's VLANs.

    `xml` is the running definition, if the caller has read it already.
    """
    if wrong := find_wrong(hypervisor, host, xml):
        raise Conflict(f"host {host.name!r} must not run: {wrong}, then start the host again")


def find_wrong(
    hypervisor: Hypervisor, host: Domain, xml: str | None = None, *, mac: str | None = None
) -> str | None:
    """Describe what is wrong with the ports of a running host; None for nothing.

    With `mac` only the port of this interface is read.
    """
    switch = switch_of(hypervisor)
    # In the running XML, libvirt has copied bridge and tags from the network.
    interfaces = domain.read(xml or host.xml()).interfaces
    interfaces = tuple(row for row in interfaces if switch.carries(row) and mac in (None, row.mac))
    return find_mismatch(interfaces, switch.ports()) if interfaces else None


def find_mismatch(interfaces: Iterable[InterfaceRow], rows: Iterable[PortRow]) -> str | None:
    """Describe the first interface whose port differs from it or is missing; None for none."""
    by_name = {row.name: row for row in rows}
    for interface in interfaces:
        if problem := _compare(interface, by_name.get(interface.port or "")):
            return problem
    return None


def _compare(interface: InterfaceRow, row: PortRow | None) -> str | None:
    if row is None:
        return f"Open vSwitch has no port {interface.port}; is openvswitch-switch running?"
    if row.type:
        return f"its port {row.name} in Open vSwitch has type {row.type}; check what created it"
    # libvirt adds the native tag to the trunk.
    trunk = tuple(tag for tag in row.trunk if tag != interface.vlan)
    found = (row.bridge, row.tag, trunk)
    expected = (interface.bridge, interface.vlan, interface.trunk)
    if found == expected and row.vlan_mode in _modes(row):
        return None
    return (
        f"its port {row.name} has (bridge, tag, trunk) {found} and VLAN mode {row.vlan_mode} in"
        f" Open vSwitch instead of {expected}; check which program changed it"
    )


def _modes(row: PortRow) -> tuple[str | None, ...]:
    """Return the VLAN modes that limit a port to its tag and trunk.

    See vlan_mode in ovs-vswitchd.conf.db(5); another mode lets other VLANs through.
    """
    if row.tag is None:
        return None, "trunk"
    return ("native-untagged", "native-tagged") if row.trunk else (None, "access")


def check_free(host: Domain, rows: Iterable[PortRow]) -> None:
    """Raise Conflict if libvirt may reuse a port of another owner for a host.

    The host is about to start, or to get another interface while it runs.
    """
    # A bridge's own port has the name of the bridge.
    others = [row for row in rows if row.name != row.bridge]
    if not others:
        return
    names = {row.port for row in domain.read(host.xml(stored=True)).interfaces if row.port}
    if row := find_conflict(others, names, host.uuid):
        raise Conflict(
            f"host {host.name!r} was not {'changed' if host.active else 'started'}: libvirt might"
            f" reuse port {row.name} on bridge {row.bridge}, which has another owner, and remove it"
            " when the host stops; rename one of the two ports"
        )


def find_conflict(rows: Iterable[PortRow], names: Collection[str], host: str) -> PortRow | None:
    """Return a row of another owner that libvirt may reuse as a port of a host to start.

    libvirt would also remove that row when the host stops. `names` are the port names in the
    host's XML, `host` is its UUID.
    """
    others = [row for row in rows if row.domain != host]
    for row in others:
        if row.name in names:
            return row
    rows = [row for row in others if _GENERATED.fullmatch(row.name)]
    if not rows:
        return None
    # libvirt skips the name of a device in its own namespace (virNetDevGenerateName).
    here = devices.here()
    rows = [row for row in rows if row.name not in here]
    used = devices.everywhere().names if rows else frozenset()
    return next((row for row in rows if row.type or row.name in used), None)


def remove_stale(hypervisor: Hypervisor, plugging: Domain | None = None) -> list[PortRow]:
    """Remove stale rows from the switch; return the other rows.

    libvirt would reuse such a row, with its old tag, for a new port of the same name. `plugging` is
    a running host that gets another interface: its rows are stale too, except for those in its XML.
    """
    switch = switch_of(hypervisor)
    rows = switch.ports()
    found = find_stale(rows, lambda: inactive_hosts(hypervisor))
    if plugging:
        found += _find_left(rows, plugging)
    switch.remove_stale_ports(found)
    return [row for row in rows if row not in found]


def stale(hypervisor: Hypervisor) -> list[PortRow]:
    """Return the rows that are certainly stale."""
    return find_stale(switch_of(hypervisor).ports(), lambda: inactive_hosts(hypervisor))


def find_stale(rows: Iterable[PortRow], inactive: Callable[[], Collection[str]]) -> list[PortRow]:
    """Return libvirt's rows that have no device.

    `inactive` returns the UUIDs of hosts that do not run; it is called only if a row may be stale.
    """
    suspects = [row for row in rows if is_libvirts(row)]
    known = inactive() if suspects else ()
    suspects = [row for row in suspects if row.domain in known]
    if not suspects:
        return []
    found = devices.everywhere()
    return [row for row in suspects if found.complete and row.name not in found.names]


def _find_left(rows: Iterable[PortRow], host: Domain) -> list[PortRow]:
    """Return the rows that a running host has left, as when ovs-vswitchd died at a hot-plug."""
    own = {row.port for row in domain.read(host.xml()).interfaces}
    return find_stale([row for row in rows if row.name not in own], lambda: {host.uuid})


def possibly_stale(hypervisor: Hypervisor) -> list[PortRow]:
    """Return the rows with a name generated by libvirt that may be stale, or may not.

    libvirt does not know the host, or a network namespace cannot be read.
    """
    rows = [row for row in switch_of(hypervisor).ports() if is_libvirts(row)]
    rows = [row for row in rows if _GENERATED.fullmatch(row.name)]
    if not rows:
        return []
    running, found = hypervisor.active_uuids(), devices.everywhere()
    inactive = inactive_hosts(hypervisor) if found.complete else set()
    known = running | inactive
    return [row for row in rows if row.domain not in known and row.name not in found.names]


def is_libvirts(row: PortRow) -> bool:
    """Return whether a row may be one of libvirt's."""
    # ovs-vsctl would parse a name that starts with "-" as an option; libvirt generates none.
    return bool(row.domain) and not row.type and not row.name.startswith("-")


def inactive_hosts(hypervisor: Hypervisor) -> set[str]:
    """Return the UUIDs of the hosts that do not run, including those that shctl deleted."""
    deleted = set(_deleted())
    if deleted:
        deleted -= {host.uuid for host in hypervisor.domains()}
    return deleted | hypervisor.inactive_uuids()


def note_deleted(uuid: str) -> None:
    """Record a host that is being deleted, so that a row it leaves is known to be stale."""
    with suppress(OSError, Conflict), locks.hold("notes", "deleted hosts", timeout=1):
        file = _deleted_file()
        new = file.with_suffix(".new")
        new.write_text("\n".join([*_deleted(), uuid][-_MAX_DELETED:]) + "\n")
        new.replace(file)


def _deleted() -> list[str]:
    try:
        return _deleted_file().read_text().split()
    except FileNotFoundError:
        return []


def _deleted_file() -> Path:
    locks.directory()  # creates what it is in, for this user alone
    return paths.deleted_hosts()
