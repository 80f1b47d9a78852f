"""Domain XML: golden files, accepted by libvirt, and reading XML of other tools."""

from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from shctl.common import names
from shctl.common.states import Phase
from shctl.xml import domain
from shctl.xml.disk_device import Ceph, Source
from shctl.xml.disks import DiskRow
from shctl.xml.domain import Hardware, Installer, Spec
from shctl.xml.metadata import Installation, Metadata, OwnedVolume
from tests.support import connected

GOLDEN = Path(__file__).with_name("golden")
TIME = "2026-01-02T03:04:05Z"
UUID = "11111111-2222-4333-8444-555555555555"
BASE = Spec(
    name="web1",
    hardware=Hardware(memory=512, cpus=1, firmware="bios", virt_type="qemu"),
    networks=("vlan10",),
    disks=(Source("/v/web1-sda"),),
    console="/var/log/shctl/console/web1.log",
    metadata=Metadata(TIME, volumes=(OwnedVolume("shctl", "web1-sda"),)),
)
SPECS = {
    "host": replace(BASE, uuid=UUID),
    "host-reservation": replace(BASE, disks=(), metadata=replace(BASE.metadata, complete=False)),
    "host-large": replace(
        BASE,
        uuid=UUID,
        hardware=Hardware(memory=4096, cpus=4, firmware="uefi", virt_type="kvm"),
        networks=("vlan10", "vlan20"),
        disks=(Source("/v/web1-sda"), Source("/dev/vg/web1-sdb", is_block=True)),
    ),
    "host-ceph": replace(
        BASE,
        uuid=UUID,
        disks=(
            Source("rbd/web1-sda", ceph=Ceph((("mon1", "6789"), ("mon2", None)), "libvirt", UUID)),
        ),
    ),
    "host-ceph-usage": replace(
        BASE,
        uuid=UUID,
        disks=(Source("rbd/web1-sda", ceph=Ceph((("mon1", None),), "u", usage="client.u")),),
    ),
    "host-installer": replace(
        BASE,
        uuid=UUID,
        metadata=replace(
            BASE.metadata, install=Installation(Phase.INSTALLING, TIME, TIME, "http://a")
        ),
        installer=Installer("/b/kernel", "/b/initrd", "quiet a=\"b c\" <d> & 'e'"),
    ),
    "host-installer-network": replace(BASE, uuid=UUID, installer=Installer()),
}


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.xml").read_text()


def indented(xml: str) -> str:
    root = etree.fromstring(xml)
    etree.indent(root)
    return etree.tostring(root, encoding="unicode") + "\n"


@pytest.mark.parametrize("name", SPECS)
def test_golden(name: str) -> None:
    assert indented(domain.build(SPECS[name])) == golden(name)


@pytest.mark.hypervisor
@pytest.mark.parametrize("name", SPECS)
def test_libvirt_accepts_it_and_reads_the_same(name: str) -> None:
    """Without KVM, which the machine may lack."""
    xml = golden(name).replace("type='kvm'", "type='qemu'").replace('"kvm"', '"qemu"')
    xml = xml.replace("host-passthrough", "maximum")
    with connected() as connection:
        handle = connection.defineXMLFlags(xml, 1)
        try:
            # libvirt stores memory in KiB.
            stored = replace(domain.read(handle.XMLDesc()), memory=0)
        finally:
            handle.undefineFlags(4)
    assert stored == replace(domain.read(xml), memory=0)


def test_read_returns_what_build_wrote() -> None:
    info = domain.read(domain.build(SPECS["host-large"]))
    assert (info.cpus, info.firmware) == (4, "uefi")
    assert info.disks == tuple(
        DiskRow(target, path, format="raw", serial=names.serial("web1", target))
        for target, path in [("sda", "/v/web1-sda"), ("sdb", "/dev/vg/web1-sdb")]
    )
    assert [row.network for row in info.interfaces] == ["vlan10", "vlan20"]
    assert info.console == BASE.console
    assert info.metadata == SPECS["host-large"].metadata


def test_installer_ends_when_the_guest_reboots() -> None:
    """Otherwise the installer's kernel would boot again and again."""
    for name in SPECS:
        root = etree.fromstring(golden(name))
        expected = "destroy" if "installer" in name else "restart"
        assert root.findtext("on_reboot") == expected
        assert domain.read(golden(name)).installer == ("installer" in name)


@pytest.mark.parametrize("text", ["a&b", "<x/>", "\"q\" 'a'", "&amp;", "]]>", "é"])
def test_external_text_is_escaped(text: str) -> None:
    spec = replace(
        BASE, networks=(text,), disks=(Source(text),), installer=Installer("k", "i", text)
    )
    xml = domain.build(spec)
    info = domain.read(xml)
    assert (info.interfaces[0].network, info.disks[0].path) == (text, text)
    assert etree.fromstring(xml).findtext("os/cmdline") == text


FOREIGN = """
<domain type='kvm' id='3'>
  <memory unit='KiB'>1048576</memory><vcpu placement='static'>2</vcpu>
  <os><type>hvm</type><loader type='pflash'>/x.fd</loader></os>
  <devices>
    <disk type='file' device='cdrom'><source file='/iso'/><target dev='sdb'/></disk>
    <disk type='network' device='disk'><source protocol='rbd' name='p/v'/><target dev='vda'/></disk>
    <disk type='block' device='lun'><source dev='/dev/sdz'/><target dev='sda'/></disk>
    <disk type='file' device='disk'><target dev='vdb'/></disk>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:01'/><source bridge='br0'/>
      <virtualport type='openvswitch'/><target dev='vnet7'/>
      <vlan trunk='yes'><tag id='5' nativeMode='untagged'/><tag id='7'/><tag id='6'/></vlan>
    </interface>
    <interface type='user'><mac address='52:54:00:00:00:02'/></interface>
    <channel><target name='org.qemu.guest_agent.0' state='connected'/></channel>
  </devices>
</domain>
"""


def test_foreign_hosts() -> None:
    info = domain.read(FOREIGN)
    assert (info.memory, info.cpus, info.firmware, info.console) == (1024, 2, "uefi", None)
    network = DiskRow("vda", "p/v", protocol="rbd")
    assert info.disks == (network, DiskRow("sda", "/dev/sdz"), DiskRow("vdb", None))
    first, second = info.interfaces
    assert (first.bridge, first.switched, first.vlan, first.trunk) == ("br0", True, 5, (6, 7))
    assert (first.port, first.network, second.switched) == ("vnet7", None, False)
    assert info.agent
    assert info.metadata is None


def test_empty_domain() -> None:
    info = domain.read("<domain/>")
    assert (info.memory, info.disks, info.interfaces, info.firmware) == (0, (), (), "bios")


@pytest.mark.parametrize("text", ["/a/b", "/a&b", "/<x>'y\"z", "&&", ""])
def test_mentions_finds_every_path(text: str) -> None:
    element = etree.Element("source", file=text)
    assert domain.mentions(etree.tostring(element, encoding="unicode"), text)
    assert domain.mentions(etree.tostring(element, encoding="unicode").replace("'", "&apos;"), text)


def test_mentions_is_false_for_an_absent_path() -> None:
    assert not domain.mentions("<source file='/a/b'/>", "/a/c&d")
