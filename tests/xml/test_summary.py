"""What a list reads from a domain's XML is what the parsers read."""

from pathlib import Path

import pytest

from shctl.common.rows import Install
from shctl.hosts import details
from shctl.xml import domain, network
from shctl.xml.summary import Summary, read_bridge, read_tags, read_uuid

UUID = "11111111-2222-4333-8444-555555555555"
HOST = (
    f"<domain type='qemu'><name>web1</name><uuid>{UUID}</uuid><metadata>{{metadata}}</metadata>"
    "<devices>{devices}</devices></domain>"
)
STATUS = "<domstatus state='running'><uuid>other</uuid>{}</domstatus>"
INTERFACE = (
    "<interface type='network'><mac address='52:B8:00:00:00:01'/>"
    "<source network='{network}'{more}/>{vlan}<target dev='vnet0'/></interface>"
)
TRUNK = "<vlan trunk='yes'><tag id='1' nativeMode='untagged'/><tag id='30'/><tag id='20'/></vlan>"
VLANS = ["", "<vlan><tag id='10'/></vlan>", TRUNK, "<vlan trunk='yes'><tag id='7'/></vlan>"]


def metadata(attributes: str, inside: str = "") -> str:
    return f'<shctl:host xmlns:shctl="urn:shctl:host:1" {attributes}>{inside}</shctl:host>'


@pytest.mark.parametrize("vlan", VLANS)
@pytest.mark.parametrize("name", ["vlan10", "a&amp;b &lt;c&gt; &apos;d&apos;"])
def test_interfaces(vlan: str, name: str) -> None:
    devices = INTERFACE.format(network=name, more="", vlan=vlan) + INTERFACE.format(
        network="n2", more=" portgroup='pg'", vlan=""
    )
    xml = HOST.format(metadata="", devices=devices)
    parsed, found = domain.read(xml).interfaces, Summary(xml)
    assert found.interfaces == tuple(
        (row.network, row.portgroup, (row.vlan, row.trunk)) for row in parsed
    )
    assert found.macs == ("52:b8:00:00:00:01",) * 2
    assert Summary(STATUS.format(xml)).interfaces == found.interfaces


@pytest.mark.parametrize(
    "text",
    [
        metadata('created="2026-01-02T03:04:05Z"'),
        metadata(f'uuid="{UUID}" created="2026-01-02T03:04:05Z"'),
        metadata('uuid="another" created="2026-01-02T03:04:05Z"'),
        metadata('created="yesterday"'),
        metadata('created="2026-01-02T03:04:05Z"', '<install phase="installed" started="x"/>'),
        metadata('created="2026-01-02T03:04:05Z"', '<install phase="failed"/>'),
        metadata('created="2026-01-02T03:04:05Z"', '<shctl:install phase="installing"/>'),
        metadata(
            'created="2026-01-02T03:04:05Z"',
            '<install phase="finishing" started="2026-01-02T03:04:05Z" deadline="soon"'
            ' reason="a &lt;b&gt; &amp;amp; &quot;c&quot;" location="http://x/"/>',
        ),
        metadata("", '<install phase="nonsense" reason="' + "x" * 5000 + '"/>'),
        '<host xmlns="urn:shctl:host:1" created="2026-01-02T03:04:05Z"/>',
        '<x:host xmlns:x="urn:other" created="2026-01-02T03:04:05Z"/>',
        '<x:note xmlns:x="urn:other">urn:shctl:host:1</x:note>',
        "",
    ],
)
def test_metadata(text: str) -> None:
    xml = HOST.format(metadata=text, devices="")
    data, found = domain.read(xml).metadata, Summary(xml)
    assert found.managed == (data is not None)
    assert found.created == ((data.created or None) if data else None)
    expected = details._install(data)
    keys = Install.__slots__
    assert [getattr(found.install, key, None) for key in keys] == [
        getattr(expected, key, None) for key in keys
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<devices>{}</devices>",
        "<!-- </metadata><devices>{} -->",
        "<![CDATA[</metadata><memory unit='KiB'>5</memory><devices>{}]]>",
    ],
)
def test_devices_in_metadata_are_no_devices(text: str) -> None:
    inside = text.format(INTERFACE.format(network="n", more="", vlan=""))
    xml = HOST.format(metadata=f"<x:d xmlns:x='urn:x'>{inside}</x:d>", devices="")
    found = Summary(xml)
    assert (found.interfaces, found.memory) == ((), None)


@pytest.mark.parametrize(
    "text",
    [
        "<memory unit='KiB'>2097152</memory><vcpu placement='static'>2</vcpu>",
        "<maxMemory slots='2' unit='KiB'>9</maxMemory><memory unit='KiB'>2097152</memory>"
        "<currentMemory unit='KiB'>1048576</currentMemory>"
        "<vcpu placement='static' cpuset='0-3' current='3'>4</vcpu>",
    ],
)
def test_memory_and_processors(text: str) -> None:
    xml = HOST.format(metadata=metadata(""), devices="").replace("<devices>", f"{text}<devices>")
    parsed, found = domain.read(xml), Summary(xml)
    assert (found.memory, found.cpus) == (parsed.memory, parsed.cpus)


def test_another_elements_installation() -> None:
    own = metadata("") + '<x:install xmlns:x="urn:x" phase="installed"/>'
    assert Summary(HOST.format(metadata=own, devices="")).install is None


def test_a_bridge_without_a_network() -> None:
    devices = "<interface type='bridge'><source bridge='br7'/></interface>" * 2
    devices += "<interface type='network'><source network='n' bridge='br8'/></interface>"
    assert Summary(HOST.format(metadata="", devices=devices)).bridges == ("br7",)


@pytest.mark.parametrize("name", ["network-access", "network-trunk"])
def test_networks(name: str) -> None:
    xml = Path(__file__).with_name("golden").joinpath(f"{name}.xml").read_text().replace('"', "'")
    parsed = network.read(xml)
    assert read_tags(xml) == (parsed.vlan, parsed.trunk)
    assert read_bridge(xml) == parsed.bridge


def test_uuid() -> None:
    xml = HOST.format(metadata="", devices="")
    assert read_uuid(xml) == read_uuid(STATUS.format(xml)) == UUID
    assert read_uuid("<domain/>") is None
