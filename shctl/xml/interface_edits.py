"""Edit the interfaces in a domain's XML, and choose where one is plugged in; pure, no I/O.

An interface is identified by its MAC address, as in libvirt's calls for devices.
"""

from __future__ import annotations

from copy import deepcopy

from lxml import etree

from shctl.xml.interfaces import LINK_DOWN
from shctl.xml.parsing import parse, parse_for_edit

# PCI controllers with one slot, into which a device can be plugged while the guest runs.
_PORTS = ("pcie-root-port", "pcie-switch-downstream-port")
Address = dict[str, str]


def add(root: etree._Element, network: str, mac: str, link: str, address: Address) -> None:
    """Add an interface to a definition; libvirt completes an empty address."""
    interface = etree.Element("interface", type="network")
    etree.SubElement(interface, "mac", address=mac)
    etree.SubElement(interface, "source", network=network)
    etree.SubElement(interface, "model", type="virtio")
    if link == LINK_DOWN:
        set_link(interface, link)
    if address:
        etree.SubElement(interface, "address", address)
    next(root.iterfind("devices")).append(interface)


def update(root: etree._Element, mac: str, network: str | None, link: str | None) -> None:
    """Set the network and the link of an interface; None keeps them."""
    interface = find(root, mac)
    if network is not None:
        _set_network(interface, network)
    if link is not None:
        set_link(interface, link)


def remove(root: etree._Element, mac: str) -> None:
    """Remove an interface from a definition."""
    interface = find(root, mac)
    parent = interface.getparent()
    if parent is not None:
        parent.remove(interface)


def device(xml: str, mac: str, link: str) -> str:
    """Return the XML of an interface with this link, for libvirt's calls for devices."""
    interface = deepcopy(find(parse_for_edit(xml), mac))
    # libvirt shows a running interface of a network with the type that the network has.
    if interface.find("source[@network]") is not None:
        interface.set("type", "network")
    set_link(interface, link)
    return etree.tostring(interface, encoding="unicode", with_tail=False)


def copy_of_running(xml: str, mac: str, link: str) -> str:
    """Return the XML to plug an interface of a running domain in again, with the same VLANs."""
    interface = parse_for_edit(device(xml, mac, link))
    for source in interface.iterfind("source[@network]"):
        source.attrib.pop("portid", "")
        source.attrib.pop("bridge", "")
    # libvirt chooses these again. VLANs and virtualport stay: libvirt has copied them from the
    # network, or they are the interface's own.
    for element in [e for e in interface if e.tag in ("alias", "target", "backend")]:
        interface.remove(element)
    return etree.tostring(interface, encoding="unicode")


def free_address(stored: str, running: str) -> Address | None:
    """Return where one more device can be plugged into a running domain, None for nowhere.

    The place is free in the stored definition too: after its next start the guest finds the device
    there again. Empty on a machine that has no such ports: libvirt chooses.
    """
    roots = parse(stored), parse(running)
    if not all(map(_has_ports, roots)):
        return {}
    free = set.intersection(*map(_ports, roots)) - _used(roots[0]) - _used(roots[1])
    if not free:
        return None
    bus = f"0x{min(free):02x}"
    return {"type": "pci", "domain": "0x0000", "bus": bus, "slot": "0x00", "function": "0x0"}


def can_plug(stored: str, running: str, mac: str) -> bool:
    """Return whether a stored interface can be plugged into the running domain at its address."""
    root, address = parse(running), find(parse(stored), mac).find("address[@type='pci']")
    if address is None or not _has_ports(root):
        return True
    return _bus(address) in _ports(root) - _used(root)


def _has_ports(root: etree._Element) -> bool:
    return root.find("devices/controller[@model='pcie-root']") is not None


def _ports(root: etree._Element) -> set[int]:
    """Return the bus numbers of the ports that take a device while the guest runs."""
    return {
        int(controller.get("index", "0"))
        for controller in root.iterfind("devices/controller[@type='pci']")
        if controller.get("model") in _PORTS and controller.find("target[@hotplug='off']") is None
    }


def _used(root: etree._Element) -> set[int]:
    return {_bus(address) for address in root.iterfind("devices/*/address[@type='pci']")}


def _bus(address: etree._Element) -> int:
    return int(address.get("bus", "0"), 0)


def find(root: etree._Element, mac: str) -> etree._Element:
    """Return an interface, which must exist."""
    return next(
        interface
        for interface in root.iterfind("devices/interface")
        if any(element.get("address") == mac for element in interface.iterfind("mac"))
    )


def set_link(interface: etree._Element, link: str) -> None:
    """Set the link of an interface, up or down."""
    found = interface.find("link")
    if found is None:
        found = etree.SubElement(interface, "link")
    found.set("state", link)


def _set_network(interface: etree._Element, network: str) -> None:
    """Connect an interface to a network, with the VLANs of this network and no others."""
    interface.set("type", "network")
    for element in [e for e in interface if e.tag in ("source", "vlan", "virtualport")]:
        interface.remove(element)
    etree.SubElement(interface, "source", network=network)
