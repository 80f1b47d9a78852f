"""The switch of simulated hypervisors: it carries nothing, so nothing is checked or removed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shctl.networks.switch import PortRow
    from shctl.xml.interfaces import InterfaceRow
    from shctl.xml.network import NetworkInfo

VIRTUALPORT: str | None = "openvswitch"  # the same XML as on a real hypervisor


def check() -> None:
    """Do nothing: there is no switch that could fail."""


def version() -> str | None:
    """Return None."""
    return None


def bridges() -> list[str]:
    """Return no bridge."""
    return []


def ports() -> list[PortRow]:
    """Return no port."""
    return []


def carries(connected: InterfaceRow | NetworkInfo) -> bool:  # noqa: ARG001
    """Return False."""
    return False


def remove_stale_ports(stale: Collection[PortRow]) -> None:
    """Do nothing: no port was returned."""
