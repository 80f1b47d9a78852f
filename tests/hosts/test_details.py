"""`hosts show` for hosts that other tools created or changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from shctl.xml import hardware, network
from tests.support import VOLUMES, call, create, define, ok, run, show
from tests.terminal import at_terminal

pytestmark = pytest.mark.usefixtures("vlan10")

VIRSH = ["virsh", "-q", "-c", "qemu:///system"]
HOST = (
    "<domain type='qemu'><name>{}</name><memory unit='MiB'>64</memory>"
    "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{}</devices></domain>"
)


@pytest.fixture
def groups() -> Iterator[str]:
    """Make a network with port groups."""
    xml = "/run/groups.xml"
    Path(xml).write_text(
        "<network><name>groups</name><forward mode='bridge'/><bridge name='br0'/>"
        "<virtualport type='openvswitch'/><vlan><tag id='20'/></vlan>"
        "<portgroup name='lab'><vlan><tag id='30'/></vlan></portgroup>"
        "<portgroup name='up'><vlan trunk='yes'><tag id='1' nativeMode='untagged'/>"
        "<tag id='40'/></vlan></portgroup><portgroup name='bare'/></network>"
    )
    call(*VIRSH, "net-define", xml)
    call(*VIRSH, "net-start", "groups")
    yield "groups"
    call(*VIRSH, "net-destroy", "groups")
    call(*VIRSH, "net-undefine", "groups")


def test_tags_of_port_groups_match_those_of_the_ports(groups: str) -> None:
    sources = [
        f"network='{groups}' portgroup='lab'",
        f"network='{groups}' portgroup='up'",
        f"network='{groups}' portgroup='bare'",
        f"network='{groups}'",
    ]
    devices = "".join(f"<interface type='network'><source {s}/></interface>" for s in sources)
    own = f"<vlan><tag id='50'/></vlan><source network='{groups}' portgroup='lab'/>"
    define(HOST.format("grouped", f"{devices}<interface type='network'>{own}</interface>"))
    off = [(row["vlan"], row["trunk"]) for row in show("grouped")["interfaces"]]
    assert off == [(30, []), (1, [40]), (20, []), (20, []), (50, [])]
    call(*VIRSH, "start", "grouped")
    assert [(row["vlan"], row["trunk"]) for row in show("grouped")["interfaces"]] == off
    call(*VIRSH, "destroy", "grouped")
    call(*VIRSH, "undefine", "grouped")


def test_disk_named_by_pool_and_volume() -> None:
    create("vol")
    call(*VIRSH, "vol-create-as", "shctl", "foreign-sdb", "3G")
    volumes = "".join(
        f"<disk type='volume' device='disk'><source pool='shctl' volume='{volume}'/>"
        f"<target dev='{target}' bus='scsi'/></disk>"
        for volume, target in (("vol-sda", "sda"), ("foreign-sdb", "sdb"), ("gone", "sdc"))
    )
    xml = call(*VIRSH, "dumpxml", "vol")
    before, _, after = xml.partition("<disk ")
    define(before + volumes + after.partition("</disk>")[2])
    assert [tuple(disk.values()) for disk in show("vol")["disks"]] == [
        ("sda", 1.0, f"{VOLUMES}/vol-sda", True),
        ("sdb", 3.0, f"{VOLUMES}/foreign-sdb", False),
        ("sdc", None, None, False),
    ]
    code, screen = at_terminal("hosts", "delete", "vol", typed=b"n\n", columns=200)
    assert (code, "with 1 disk (1 GiB)" in screen) == (1, True), screen
    ok("hosts", "delete", "--yes", "vol")
    assert not (VOLUMES / "vol-sda").exists()
    call(*VIRSH, "vol-delete", "foreign-sdb", "shctl")


def test_current_and_maximum_memory_and_processors() -> None:
    create("grows")
    shown = show("grows")
    assert (shown["memory"], shown["max_memory"]) == (64, 64)
    assert (shown["cpus"], shown["max_cpus"]) == (1, 1)
    for size, option in (("128M", "setmaxmem"), ("96M", "setmem")):
        call(*VIRSH, option, "grows", size, "--config")
    call(*VIRSH, "setvcpus", "grows", "4", "--maximum", "--config")
    call(*VIRSH, "setvcpus", "grows", "2", "--config")
    shown = show("grows")
    assert (shown["memory"], shown["max_memory"]) == (96, 128)
    assert (shown["cpus"], shown["max_cpus"]) == (2, 4)
    assert "96 MiB" in ok("hosts", "show", "grows")
    ok("hosts", "start", "grows")
    shown = show("grows")
    # The guest has no balloon driver.
    assert (shown["memory"], shown["max_memory"]) == (128, 128)
    assert (shown["cpus"], shown["max_cpus"]) == (2, 4)
    ok("hosts", "delete", "--yes", "grows")


@pytest.mark.parametrize(
    ("text", "size"),
    [("<m>64</m>", 64 * 2**10), ("<m unit='b'>64</m>", 64), ("<m unit='bytes'>64</m>", 64),
     ("<m unit='KB'>64</m>", 64000), ("<m unit='k'>64</m>", 65536),
     ("<m unit='KiB'> 64 </m>", 65536),
     ("<m unit='MB'>1</m>", 10**6), ("<m unit='M'>1</m>", 2**20), ("<m unit='MiB'>1</m>", 2**20),
     ("<m unit='GB'>1</m>", 10**9), ("<m unit='G'>1</m>", 2**30), ("<m unit='gib'>1</m>", 2**30),
     ("<m unit='T'>1</m>", 2**40), ("<m unit='EiB'>1</m>", 2**60), ("<m unit='EB'>1</m>", 10**18),
     ("<m unit='furlong'>1</m>", None), ("<m>-1</m>", None), ("<m>\u0661</m>", None),
     ("<m/>", None)],
)  # fmt: skip
def test_sizes_in_every_unit_of_libvirt(text: str, size: int | None) -> None:
    assert hardware.size(etree.fromstring(text)) == size


def test_default_port_group() -> None:
    xml = (
        "<network><vlan><tag id='20'/></vlan><portgroup name='a' default='yes'><vlan>"
        "<tag id='30'/></vlan></portgroup><portgroup name='b'/></network>"
    )
    found = [network.read_tags(xml, group)[0] for group in (None, "a", "b", "gone")]
    assert found == [30, 30, 20, 20]


def test_error_suggests_the_nearest_name() -> None:
    create("web01")
    done = run("hosts", "show", "web1")
    assert (done.code, done.err) == (3, "shctl: no host 'web1'; did you mean 'web01'?\n")
    ok("hosts", "delete", "--yes", "web01")


def test_hosts_of_the_test_driver_can_be_shown() -> None:
    rows = run("-c", "test:///default", "-o", "json", "hosts", "list").json
    assert rows == [
        {"id": "6695eb01-f6a4-8304-79aa-97f2502e193f", "name": "test", "state": "running"}
    ]
    shown = run("-c", "test:///default", "-o", "json", "hosts", "show", "test").json
    assert shown["state"] == "running"
