"""Choose the switch of a hypervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shctl.networks import nullswitch, openvswitch
from shctl.networks.switch import Switch

if TYPE_CHECKING:
    from shctl.hypervisor.connection import Hypervisor


def switch_of(hypervisor: Hypervisor) -> Switch:
    """Return the switch that carries the hypervisor's networks."""
    # A simulated hypervisor has no QEMU, so nothing is ever plugged into this machine's switch.
    return nullswitch if hypervisor.simulated else openvswitch
