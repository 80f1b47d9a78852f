"""Read the interfaces in a domain's XML, and VLANs; pure, no I/O."""

from dataclasses import dataclass

from lxml import etree

LINK_UP, LINK_DOWN = "up", "down"


@dataclass(frozen=True)
class InterfaceRow:
    """An interface in a domain's XML; `bridge`, `vlan`, `trunk` and `port` only while it runs.

    `switched` says that the interface is a port of Open vSwitch. `kind` is libvirt's type. `link`
    is up or down: whether the guest sees a carrier.
    """

    network: str | None
    portgroup: str | None
    mac: str
    bridge: str | None
    switched: bool
    vlan: int | None
    trunk: tuple[int, ...]
    port: str | None
    kind: str = "network"
    link: str = LINK_UP


def read(root: etree._Element) -> tuple[InterfaceRow, ...]:
    """Return the interfaces of a domain, in their order."""
    return tuple(map(_row, root.iterfind("devices/interface")))


def _row(element: etree._Element) -> InterfaceRow:
    mac, source, target = (element.find(tag) for tag in ("mac", "source", "target"))
    vlan, trunk = read_vlan(element)
    is_down = element.find(f"link[@state='{LINK_DOWN}']") is not None
    return InterfaceRow(
        network=source.get("network") if source is not None else None,
        portgroup=source.get("portgroup") if source is not None else None,
        mac=mac.get("address", "") if mac is not None else "",
        bridge=source.get("bridge") if source is not None else None,
        switched=element.find("virtualport[@type='openvswitch']") is not None,
        vlan=vlan,
        trunk=trunk,
        port=target.get("dev") if target is not None else None,
        kind=element.get("type", ""),
        link=LINK_DOWN if is_down else LINK_UP,
    )


def read_vlan(element: etree._Element) -> tuple[int | None, tuple[int, ...]]:
    """Return the access or native tag and the trunk's other tags of an interface or a network."""
    tags = [(int(e.get("id", "0")), e.get("nativeMode")) for e in element.iterfind("vlan/tag")]
    if len(tags) == 1 and element.find("vlan[@trunk='yes']") is None:
        return tags[0][0], ()
    native = next((tag for tag, mode in tags if mode), None)
    return native, tuple(sorted(tag for tag, _ in tags if tag != native))
