"""Build and read network XML (https://libvirt.org/formatnetwork.html); pure, no I/O."""

from dataclasses import dataclass

from lxml import etree

from shctl.xml.interfaces import read_vlan
from shctl.xml.parsing import parse


@dataclass(frozen=True)
class Spec:
    """A network to create; with `trunk` its ports carry those tags, and `vlan` untagged."""

    name: str
    bridge: str
    vlan: int
    trunk: tuple[int, ...] = ()


@dataclass(frozen=True)
class NetworkInfo:
    """What shctl reads from a network's XML; `switched` says that Open vSwitch carries it."""

    bridge: str | None
    vlan: int | None
    trunk: tuple[int, ...]
    switched: bool


Tags = tuple[int | None, tuple[int, ...]]  # the access or native tag, and the trunk's others


def build(spec: Spec, virtualport: str | None = "openvswitch") -> str:
    """Return the XML of a network of tagged ports on a bridge, of Open vSwitch by default."""
    root = etree.Element("network")
    etree.SubElement(root, "name").text = spec.name
    etree.SubElement(root, "forward", mode="bridge")
    etree.SubElement(root, "bridge", name=spec.bridge)
    if virtualport:
        etree.SubElement(root, "virtualport", type=virtualport)
    vlan = etree.SubElement(root, "vlan")
    native = etree.SubElement(vlan, "tag", id=str(spec.vlan))
    if spec.trunk:
        vlan.set("trunk", "yes")
        # vlan_mode native-untagged in Open vSwitch, see ovs-vswitchd.conf.db(5).
        native.set("nativeMode", "untagged")
    for tag in spec.trunk:
        etree.SubElement(vlan, "tag", id=str(tag))
    return etree.tostring(root, encoding="unicode")


def read(xml: str) -> NetworkInfo:
    """Return what shctl needs from the XML of any network."""
    root = parse(xml)
    bridge = root.find("bridge")
    vlan, trunk = read_vlan(root)
    return NetworkInfo(
        bridge=bridge.get("name") if bridge is not None else None,
        vlan=vlan,
        trunk=trunk,
        switched=root.find("virtualport[@type='openvswitch']") is not None,
    )


def read_tags(xml: str, portgroup: str | None) -> Tags:
    """Return the tags that an interface of a network gets when its host starts.

    Those of its port group, or of the one that is the default, else the network's own.
    """
    root = parse(xml)
    groups = root.iterfind("portgroup")
    group = next(
        (e for e in groups if (e.get("name") == portgroup if portgroup else _is_default(e))), None
    )
    # A port group without tags has those of the network.
    tags = (None, ()) if group is None else read_vlan(group)
    return read_vlan(root) if tags == (None, ()) else tags


def all_tags(xml: str) -> frozenset[int]:
    """Return every tag that ports of a network may get, also from its port groups."""
    tags = parse(xml).iterfind(".//vlan/tag")
    return frozenset(int(tag.get("id", "0")) for tag in tags)


def _is_default(group: etree._Element) -> bool:
    return group.get("default") == "yes"
