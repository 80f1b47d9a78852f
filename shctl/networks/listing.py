"""List networks with their bridges, VLANs and hosts, and draw them as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shctl.common.errors import NotFound
from shctl.common.rows import NETWORK_COLUMNS, NetworkRow
from shctl.common.text import natural
from shctl.hypervisor import stored_xml
from shctl.xml import summary

if TYPE_CHECKING:
    from shctl.hypervisor.connection import Hypervisor

TABLE = ("name", "state", "bridge", "vlan", "trunk", "hosts")
SHORT = ("name", "state", "autostart", "persistent")
Tags = tuple[int | None, tuple[int, ...]]


def list_networks(
    hypervisor: Hypervisor, columns: tuple[str, ...] = NETWORK_COLUMNS
) -> list[NetworkRow]:
    """Return all networks, sorted, with these columns."""
    found = [
        NetworkRow(row.name, row.state, row.autostart, row.persistent)
        for row in hypervisor.networks()
    ]
    if {"bridge", "vlan", "trunk"} & {*columns}:
        found = [row for row in found if _has_xml(hypervisor, row)]
    if "hosts" in columns:
        users = _users(hypervisor)
        for row in found:
            row.hosts = tuple(users.get(row.name, ()))
    for row in found:
        row.shown = columns
    return sorted(found, key=lambda row: natural(row.name))


def _has_xml(hypervisor: Hypervisor, row: NetworkRow) -> bool:
    """Fill what is in a network's XML; return False if it was deleted meanwhile."""
    try:
        text = hypervisor.network(row.name).xml()
    except NotFound:
        return False
    row.bridge = summary.read_bridge(text)
    row.vlan, row.trunk = _tags(text, None)
    return True


def _users(hypervisor: Hypervisor) -> dict[str, list[str]]:
    """Return the hosts with an interface on each network, sorted."""
    found: dict[str, list[str]] = {}
    for name, host in read_hosts(hypervisor).items():
        for network in dict.fromkeys(network for network, _, _ in host.interfaces if network):
            found.setdefault(network, []).append(name)
    return found


def read_hosts(hypervisor: Hypervisor) -> dict[str, summary.Summary]:
    """Return what each host's XML has, sorted by name; without those deleted meanwhile."""
    rows, active = hypervisor.hosts(), hypervisor.active_uuids()
    texts = stored_xml.read(hypervisor, {row.id: row.name for row in rows}, active)
    return {
        row.name: summary.Summary(texts[row.id])
        for row in sorted(rows, key=lambda row: natural(row.name))
        if row.id in texts
    }


def network_tags(hypervisor: Hypervisor, name: str | None, group: str | None) -> Tags:
    """Return the tags that a network gives to its interfaces; none if it does not exist."""
    if name is None:
        return None, ()
    try:
        return _tags(hypervisor.network(name).xml(), group)
    except NotFound:
        return None, ()


def _tags(text: str, group: str | None) -> Tags:
    if "<portgroup" not in text:
        return summary.read_tags(text)
    # Takes long to import, and hardly any network has port groups.
    from shctl.xml.network import read_tags

    return read_tags(text, group)
