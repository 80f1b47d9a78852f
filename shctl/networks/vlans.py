"""Find the VLANs in use."""

from collections.abc import Iterable
from contextlib import suppress

from shctl.common.errors import NotFound
from shctl.common.status import VlanUse
from shctl.hypervisor.connection import Hypervisor
from shctl.networks.switch import PortRow
from shctl.xml import network


def in_use(hypervisor: Hypervisor, ports: Iterable[PortRow]) -> tuple[VlanUse, ...]:
    """Return the VLANs of all networks, running or not, and those of ports, sorted by bridge.

    Trunks of ports do not count: an uplink may carry every VLAN.
    """
    found: dict[tuple[str, int], list[str]] = {}
    for handle in hypervisor.all_networks():
        with suppress(NotFound):  # deleted meanwhile
            xml = handle.xml()
            bridge = network.read(xml).bridge or ""
            for tag in network.all_tags(xml):
                found.setdefault((bridge, tag), []).append(handle.name)
    for port in ports:
        if port.tag:
            found.setdefault((port.bridge, port.tag), [])
    return tuple(
        VlanUse(tag, bridge or None, tuple(sorted(names)))
        for (bridge, tag), names in sorted(found.items())
    )
