"""Which hosts are on which networks of which bridges, as a tree."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from shctl.common.errors import Unreachable
from shctl.common.rows import NetworkRow
from shctl.hypervisor.connection import Hypervisor
from shctl.networks.choice import switch_of
from shctl.networks.listing import list_networks, read_hosts


@dataclass(frozen=True, slots=True)
class HostOnNetwork:
    """A host in the tree of networks."""

    columns: ClassVar[tuple[str, ...]] = ("name", "state")
    name: str
    state: str

    @property
    def label(self) -> str:
        """Return the text in a drawing."""
        return f"{self.name} ({self.state})"

    @property
    def children(self) -> tuple[()]:
        """Return nothing: a host ends a branch."""
        return ()


@dataclass(frozen=True, slots=True)
class NetworkMap:
    """A network in the tree of networks, with the hosts that have an interface on it."""

    columns: ClassVar[tuple[str, ...]] = ("name", "state", "vlan", "trunk", "hosts")
    name: str
    state: str
    vlan: int | None
    trunk: tuple[int, ...]
    hosts: tuple[HostOnNetwork, ...]

    @property
    def label(self) -> str:
        """Return the text in a drawing."""
        vlan = "no VLAN" if self.vlan is None else f"VLAN {self.vlan}"
        trunk = f", trunk {','.join(map(str, self.trunk))}" if self.trunk else ""
        return f"{self.name}: {vlan}{trunk}{'' if self.state == 'active' else f' ({self.state})'}"

    @property
    def children(self) -> tuple[HostOnNetwork, ...]:
        """Return the hosts."""
        return self.hosts


@dataclass(frozen=True, slots=True)
class BridgeMap:
    """A bridge in the tree of networks; `bridge` is null for networks without one.

    `hosts` have an interface on the bridge that is on none of the networks.
    """

    columns: ClassVar[tuple[str, ...]] = ("bridge", "networks", "hosts")
    bridge: str | None
    networks: tuple[NetworkMap, ...]
    hosts: tuple[HostOnNetwork, ...]

    @property
    def name(self) -> str:
        """Return what `-o name` prints."""
        return self.bridge or "-"

    @property
    def label(self) -> str:
        """Return the text in a drawing."""
        return self.bridge or "without a bridge"

    @property
    def children(self) -> tuple[NetworkMap | HostOnNetwork, ...]:
        """Return the networks, and the hosts without one."""
        return (*self.networks, *self.hosts)


def draw(hypervisor: Hypervisor) -> list[BridgeMap]:
    """Return every bridge with its networks, those without a bridge last.

    Users who may not ask Open vSwitch see the bridges that networks have.
    """
    states = {row.name: row.state for row in hypervisor.hosts()}
    networks = list_networks(hypervisor)
    hosts = read_hosts(hypervisor)
    found = {network.bridge for network in networks if network.bridge}
    found.update(bridge for host in hosts.values() for bridge in host.bridges)
    with suppress(Unreachable):
        found.update(switch_of(hypervisor).bridges())
    return [
        BridgeMap(
            bridge,
            tuple(_network(n, states) for n in networks if n.bridge == bridge),
            _hosts((name for name, host in hosts.items() if bridge in host.bridges), states),
        )
        for bridge in (*sorted(found), None)
        if bridge or any(n.bridge is None for n in networks)
    ]


def _network(row: NetworkRow, states: dict[str, str]) -> NetworkMap:
    return NetworkMap(row.name, row.state, row.vlan, row.trunk, _hosts(row.hosts, states))


def _hosts(names: Iterable[str], states: dict[str, str]) -> tuple[HostOnNetwork, ...]:
    return tuple(HostOnNetwork(name, states.get(name, "unknown")) for name in names)
