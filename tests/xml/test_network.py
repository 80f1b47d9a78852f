"""Network XML: building, reading XML of other tools, and libvirt's own validation."""

from pathlib import Path

import pytest

from shctl.xml import network
from shctl.xml.network import NetworkInfo, Spec
from tests.support import connected

GOLDEN = Path(__file__).with_name("golden")
SPECS = {
    "network-access": Spec("golden", "br0", 10),
    "network-trunk": Spec("uplink", "br0", 1, (10, 20)),
}


@pytest.mark.parametrize("name", SPECS)
def test_golden(name: str) -> None:
    assert network.build(SPECS[name]) + "\n" == (GOLDEN / f"{name}.xml").read_text()


@pytest.mark.hypervisor
@pytest.mark.parametrize("name", SPECS)
def test_libvirt_stores_what_was_built(name: str) -> None:
    spec = SPECS[name]
    with connected() as connection:
        handle = connection.networkDefineXML((GOLDEN / f"{name}.xml").read_text())
        try:
            stored = network.read(handle.XMLDesc())
        finally:
            handle.undefine()
    assert stored == NetworkInfo(spec.bridge, spec.vlan, spec.trunk, switched=True)


@pytest.mark.parametrize("name", SPECS)
def test_read_returns_what_build_wrote(name: str) -> None:
    spec = SPECS[name]
    info = network.read(network.build(spec))
    assert info == NetworkInfo(spec.bridge, spec.vlan, spec.trunk, switched=True)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", NetworkInfo(None, None, (), switched=False)),
        (
            "<forward mode='nat'/><bridge name='virbr0'/>",
            NetworkInfo("virbr0", None, (), switched=False),
        ),
        (
            "<vlan trunk='yes'><tag id='7'/><tag id='5'/></vlan><virtualport type='openvswitch'/>",
            NetworkInfo(None, None, (5, 7), switched=True),
        ),
        (
            "<vlan trunk='yes'><tag id='7'/><tag id='5' nativeMode='tagged'/></vlan>",
            NetworkInfo(None, 5, (7,), switched=False),
        ),
        ("<vlan trunk='yes'><tag id='7'/></vlan>", NetworkInfo(None, None, (7,), switched=False)),
        ("<virtualport type='802.1Qbg'/>", NetworkInfo(None, None, (), switched=False)),
    ],
)
def test_foreign_networks(inside: str, expected: NetworkInfo) -> None:
    assert network.read(f"<network><name>x</name>{inside}</network>") == expected


def test_external_text_is_escaped() -> None:
    bridge = "<b a=\"1\" c='2'>&amp;"
    assert network.read(network.build(Spec("x", bridge, 1))).bridge == bridge


def test_network_with_metadata_deeper_than_parsers_go() -> None:
    """Since libvirt 9.7 networks have metadata, written by anyone who may define networks."""
    deep = "<a>" * 300 + "</a>" * 300
    xml = f"<network><metadata>{deep}</metadata><vlan><tag id='5'/></vlan></network>"
    assert network.read(xml) == NetworkInfo(None, 5, (), switched=False)
    assert network.read_tags(xml, None) == (5, ())
