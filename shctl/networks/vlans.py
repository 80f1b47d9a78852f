"""Find the VLANs in use, and choose a free one."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from shctl.common.errors import Conflict, InvalidInput, NotFound
from shctl.common.status import VlanUse
from shctl.hypervisor.connection import Hypervisor
from shctl.networks.switch import PortRow, Switch
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


def only_bridge(switch: Switch) -> str:
    """Return the only bridge of a switch; raise InvalidInput if there are several, or none."""
    found = switch.bridges()
    if len(found) != 1:
        known = ", ".join(found)
        hint = f"required, since there are several: {known}" if found else "there is none"
        raise InvalidInput(f"bridge: {hint}", field="bridge")
    return found[0]


def choose_tag(
    hypervisor: Hypervisor, switch: Switch, bridge: str, tags: Sequence[int], trunk: Sequence[int]
) -> int:
    """Return the lowest tag that is free on a bridge, and not in a trunk; raise Conflict.

    A tag is free if no network and no port has it, alone or in a trunk.
    """
    ports = switch.ports()
    used = {use.tag for use in in_use(hypervisor, ports) if use.bridge == bridge}
    used |= {tag for port in ports if port.bridge == bridge for tag in port.trunk} | {*trunk}
    if free := [tag for tag in tags if tag not in used]:
        return min(free)
    raise Conflict(f"no VLAN tag from {tags[0]} to {tags[-1]} is free on bridge {bridge!r}")
