"""What shctl uses of a virtual switch; a module with these functions is one (PEP 544).

To add another kind of switch, write such a module and choose it in shctl.networks.choice.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shctl.xml.interfaces import InterfaceRow
    from shctl.xml.network import NetworkInfo


@dataclass(frozen=True, slots=True)
class PortRow:
    """A port of a switch; `domain` is its vm-id, which libvirt and other programs write.

    `type` is that of its Interface: empty for libvirt's ports, "bond" for a port that does not
    have exactly one Interface of the same name.
    """

    uuid: str  # the row's in the database
    name: str
    bridge: str
    tag: int | None  # the VLAN of an access port, or the native VLAN of a trunk
    trunk: tuple[int, ...]  # sorted; the native VLAN may be in it
    vlan_mode: str | None  # None: "access" with a tag, "trunk" without
    domain: str | None
    type: str = ""


class Switch(Protocol):
    """A virtual switch. Every function raises Unreachable if it does not answer.

    `VIRTUALPORT` is the type of the virtualport in the XML of its networks, None without one.
    """

    VIRTUALPORT: str | None

    def check(self) -> None:
        """Raise Unreachable unless the switch answers."""

    def version(self) -> str | None:
        """Return the version of the switch, None if it is unknown."""

    def bridges(self) -> list[str]:
        """Return the names of all bridges, sorted."""

    def ports(self) -> list[PortRow]:
        """Return every port of every bridge."""

    def carries(self, connected: InterfaceRow | NetworkInfo) -> bool:
        """Return whether an interface or a network is on this switch, by its XML."""

    def remove_stale_ports(self, stale: Collection[PortRow]) -> None:
        """Remove stale ports; those that changed since they were read are kept."""
