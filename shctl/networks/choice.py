"""Choose the switch of a hypervisor."""

from shctl.hypervisor.connection import Hypervisor
from shctl.networks import nullswitch, openvswitch
from shctl.networks.switch import Switch


def switch_of(hypervisor: Hypervisor) -> Switch:
    """Return the switch that carries the hypervisor's networks."""
    # A simulated hypervisor has no QEMU, so nothing is ever plugged into this machine's switch.
    return nullswitch if hypervisor.simulated else openvswitch
