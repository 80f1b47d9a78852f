"""Edits of interfaces in a domain's XML."""

from functools import partial

from lxml import etree

from shctl.xml import domain, edits, interface_edits

MAC, OTHER = "52:00:00:00:00:01", "52:00:00:00:00:02"
PORTS = "".join(
    f"<controller type='pci' index='{index}' model='pcie-root-port'/>" for index in (1, 2, 3)
)
SLOT = "<address type='pci' domain='0x0000' bus='0x0{}' slot='0x00' function='0x0'/>"
STORED = f"""<domain type="qemu"><name>web1</name><memory>1024</memory><devices>
<controller type="pci" index="0" model="pcie-root"/>{PORTS}
<interface type="network"><mac address="{MAC}"/><source network="a" portgroup="lab"/>
<vlan><tag id="7"/></vlan><virtualport type="openvswitch"/><model type="e1000e"/>{SLOT.format(1)}
<rom enabled="no"/></interface><!-- kept --><rng model="virtio">{SLOT.format(2)}</rng>
</devices></domain>"""
WITHOUT_PORTS = STORED.replace('"pcie-root"', '"pci-root"')
RUNNING = f"""<domain type="qemu" id="1"><name>web1</name><memory>1024</memory><devices>
<controller type="pci" index="0" model="pcie-root"/>{PORTS}
<interface type="bridge"><mac address="{MAC}"/><source network="a" portid="1-2" bridge="br0"/>
<vlan><tag id="7"/></vlan><virtualport type="openvswitch"><parameters interfaceid="3-4"/>
</virtualport><target dev="vnet0"/><model type="virtio"/><alias name="net0"/>{SLOT.format(1)}
</interface><rng model="virtio">{SLOT.format(2)}</rng></devices></domain>"""


def added(xml: str = STORED, link: str = "up") -> str:
    address = interface_edits.free_address(xml, xml) or {}
    edit = partial(interface_edits.add, network="b", mac=OTHER, link=link, address=address)
    return edits.edited(xml, [edit])


def updated(network: str | None, link: str | None) -> str:
    edit = partial(interface_edits.update, mac=MAC, network=network, link=link)
    return edits.edited(STORED, [edit])


def rows(xml: str) -> list[tuple[str | None, str, str]]:
    return [(row.network, row.mac, row.link) for row in domain.read(xml).interfaces]


def test_addition() -> None:
    assert rows(added()) == [("a", MAC, "up"), ("b", OTHER, "up")]
    assert rows(added(link="down"))[1] == ("b", OTHER, "down")
    assert "<!-- kept -->" in added()
    assert 'bus="0x03"' in added()


def test_another_network_has_its_own_vlans() -> None:
    (row,) = domain.read(updated("b", None)).interfaces
    assert (row.network, row.portgroup, row.vlan, row.switched) == ("b", None, None, False)
    assert (row.kind, row.link) == ("network", "up")
    for kept in ("e1000e", '<rom enabled="no"/>', 'bus="0x01"', MAC):
        assert kept in updated("b", None)


def test_a_link() -> None:
    (row,) = domain.read(updated(None, "down")).interfaces
    assert (row.network, row.portgroup, row.vlan, row.link) == ("a", "lab", 7, "down")


def test_nothing_to_change() -> None:
    assert updated(None, None) == edits.edited(STORED, [])


def test_removal() -> None:
    edit = partial(interface_edits.remove, mac=MAC)
    assert rows(edits.edited(added(), [edit])) == [("b", OTHER, "up")]


def test_a_device_of_a_running_domain() -> None:
    """libvirt 9 attaches it to a Linux bridge if its type is not the one that was defined."""
    device = etree.fromstring(interface_edits.device(RUNNING, MAC, "down"))
    assert device.get("type") == "network"
    assert [element.get("state") for element in device.iterfind("link")] == ["down"]
    assert device.find("source[@portid][@bridge]") is not None


def test_a_copy_of_what_runs_has_the_same_vlans() -> None:
    copy = etree.fromstring(interface_edits.copy_of_running(RUNNING, MAC, "down"))
    assert [element.tag for element in copy] == [
        "mac", "source", "vlan", "virtualport", "model", "address", "link",
    ]  # fmt: skip
    assert [dict(element.attrib) for element in copy.iterfind("source")] == [{"network": "a"}]


def test_ports_that_are_free() -> None:
    assert interface_edits.free_address(STORED, RUNNING) == {
        "type": "pci", "domain": "0x0000", "bus": "0x03", "slot": "0x00", "function": "0x0",
    }  # fmt: skip
    assert interface_edits.free_address(added(), RUNNING) is None
    without = STORED.replace("index='3' model='pcie-root-port'", "index='3' model='pcie-to-pci'")
    assert interface_edits.free_address(STORED, without) is None
    port = "index='3' model='pcie-root-port'"
    fixed = STORED.replace(f"{port}/>", f"{port}><target hotplug='off'/></controller>")
    assert interface_edits.free_address(fixed, fixed) is None
    assert interface_edits.free_address(WITHOUT_PORTS, RUNNING) == {}


def test_a_stored_interface_that_can_be_plugged_in() -> None:
    assert interface_edits.can_plug(added(), RUNNING, OTHER)
    assert not interface_edits.can_plug(STORED, RUNNING, MAC)  # it is
    assert not interface_edits.can_plug(added().replace('bus="0x03"', 'bus="0x09"'), RUNNING, OTHER)
    assert interface_edits.can_plug(added(WITHOUT_PORTS), RUNNING, OTHER)
