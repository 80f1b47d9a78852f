"""Add, change and remove the interfaces of hosts, tested through the command line and REST."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shctl.common import names
from tests import linux_guest
from tests.frontends.frontend import Answer, Frontend
from tests.support import SHCTL, call, daemon, define, eventually, port_rows, qemu_pid, stopped

pytestmark = pytest.mark.hypervisor

HOST: dict[str, Any] = {"memory": 64, "disks": [1], "networks": ["vlan10"]}
VIRSH = ["virsh", "-q", "-c", "qemu:///system"]
FOREIGN = (
    "<domain type='qemu'><name>{}</name><memory>65536</memory><os><type>hvm</type></os><devices>"
    "<interface type='network'><mac address='{}'/><source network='vlan10'/></interface></devices>"
    "</domain>"
)


@pytest.fixture(scope="module", autouse=True)
def vlan20(frontend: Frontend) -> Iterator[None]:
    """Make network vlan20, and tr with a trunk."""
    assert frontend.run("networks create", "vlan20", bridge="br0", vlan=20).ok
    assert frontend.run("networks create", "tr", bridge="br0", vlan=5, trunk=[6, 7]).ok
    yield
    for name in ("vlan20", "tr"):
        assert frontend.run("networks delete", name).ok


@pytest.fixture
def web1(frontend: Frontend) -> Iterator[str]:
    """Create a host that is off, and delete it after the test."""
    yield from host(frontend, HOST)


@pytest.fixture
def running(frontend: Frontend, web1: str) -> str:
    """Return a running host, whose guest never releases a device."""
    assert frontend.run("hosts start", web1).ok
    return web1


@pytest.fixture
def linux(frontend: Frontend) -> Iterator[str]:
    """Return a running host whose guest supports hot-plug."""
    for name in host(frontend, {**HOST, "memory": 256}):
        with linux_guest.booted(name):
            yield name


def host(frontend: Frontend, given: dict[str, Any]) -> Iterator[str]:
    assert frontend.run("hosts create", "web1", **given).ok
    yield "web1"
    assert frontend.run("hosts delete", "web1", if_exists=True).ok


def interfaces(frontend: Frontend) -> list[tuple[int, str, str]]:
    """Return index, network and link of each interface."""
    rows = frontend.run("hosts show", "web1").data["interfaces"]
    return [(row["index"], row["network"], row["link"]) for row in rows]


def stored() -> list[str]:
    """Return the networks in the stored definition."""
    return call(*VIRSH, "domiflist", "web1", "--inactive").split()[2::5]


def pending(frontend: Frontend) -> list[tuple[str, Any]]:
    changes = frontend.run("hosts show", "web1").data["pending"]
    return [(change["key"], change["value"]) for change in changes]


def tags() -> list[Any]:
    """Return the tags of libvirt's ports."""
    return sorted(row["tag"] for name, row in port_rows().items() if name.startswith("vnet"))


def changes(answer: Answer) -> list[tuple[str, Any, str]]:
    assert answer.ok, answer
    return [(row["key"], row["value"], row["applied"]) for row in answer.data["changes"]]


def test_a_host_that_is_off(frontend: Frontend, web1: str) -> None:
    added = frontend.run("hosts interfaces add", web1, network="vlan20")
    assert added.data == {
        "index": 1, "network": "vlan20", "mac": names.mac("web1", 1), "vlan": 20, "trunk": [],
        "link": "up", "applied": "next start",
    }  # fmt: skip
    assert frontend.run("hosts interfaces add", web1, network="tr", link="down").ok
    listed = frontend.run("hosts interfaces list", web1).data
    assert listed == frontend.run("hosts show", web1).data["interfaces"]
    assert frontend.run("hosts interfaces show", web1, "2").data == listed[2]
    assert frontend.run("hosts interfaces show", web1, "3").status == 404
    expected = [(0, "vlan10", "up"), (1, "vlan20", "up"), (2, "tr", "down")]
    assert interfaces(frontend) == expected
    moved = frontend.run("hosts interfaces set", web1, "0", network="tr", link="down")
    assert changes(moved) == [("network", "tr", "next start"), ("link", "down", "next start")]
    assert changes(frontend.run("hosts interfaces set", web1, "0", network="tr")) == []
    assert frontend.run("hosts start", web1).ok
    assert tags() == [5, 5, 20]
    assert pending(frontend) == []
    assert interfaces(frontend) == [(0, "tr", "down"), (1, "vlan20", "up"), (2, "tr", "down")]


def test_indexes_and_mac_addresses_stay_when_one_is_removed(frontend: Frontend, web1: str) -> None:
    for _ in range(2):
        assert frontend.run("hosts interfaces add", web1, network="vlan20").ok
    assert frontend.run("hosts interfaces remove", web1, "1").ok
    assert interfaces(frontend) == [(0, "vlan10", "up"), (2, "vlan20", "up")]
    assert frontend.run("hosts interfaces remove", web1, "1").status == 404
    added = frontend.run("hosts interfaces add", web1, network="tr").data
    assert (added["index"], added["mac"]) == (1, names.mac("web1", 1))
    for index in range(3):
        assert frontend.run("hosts interfaces remove", web1, str(index)).ok
    assert interfaces(frontend) == []


def test_a_running_host_gets_one_at_once_and_another_at_its_next_start(
    frontend: Frontend, running: str
) -> None:
    plan = frontend.run("hosts interfaces add", running, network="vlan20", dry_run=True).data
    assert [step["action"] for step in plan["steps"]] == ["define", "plug", "check", "link"]
    added = frontend.run("hosts interfaces add", running, network="vlan20")
    assert (added.data["index"], added.data["applied"]) == (1, "now")
    assert (tags(), stored()) == ([10, 20], ["vlan10", "vlan20"])
    assert pending(frontend) == []
    # libvirt leaves one PCI port free.
    assert frontend.run("hosts interfaces add", running, network="tr").data["applied"] == (
        "next start"
    )
    assert tags() == [10, 20]
    waiting = frontend.run("hosts interfaces show", running, "2").data
    assert (waiting["network"], waiting["vlan"], waiting["port"]) == ("tr", 5, None)
    assert pending(frontend) == [("interfaces.2.network", "tr"), ("interfaces.2.link", "up")]
    assert frontend.run("hosts interfaces remove", running, "2").ok
    assert (pending(frontend), stored()) == ([], ["vlan10", "vlan20"])
    before = call(*VIRSH, "dumpxml", "web1", "--xpath", "//interface/address")
    assert before == call(*VIRSH, "dumpxml", "web1", "--inactive", "--xpath", "//interface/address")


def test_the_link_of_a_running_host(frontend: Frontend, running: str) -> None:
    for link in ("down", "up"):
        answer = frontend.run("hosts interfaces set", running, "0", link=link)
        assert changes(answer) == [("link", link, "now")]
        assert interfaces(frontend) == [(0, "vlan10", link)]
        assert (tags(), pending(frontend)) == ([10], [])
        assert changes(frontend.run("hosts interfaces set", running, "0", link=link)) == []


def test_a_guest_that_keeps_its_interface(frontend: Frontend, running: str) -> None:
    before = (interfaces(frontend), stored(), tags())
    for command, given in (("set", {"network": "vlan20"}), ("remove", {})):
        refused = frontend.run(f"hosts interfaces {command}", running, "0", **given)
        assert (refused.status, "shut the host down" in refused.detail) == (409, True)
        assert (interfaces(frontend), stored(), tags()) == before
    assert frontend.run("hosts stop", running, force=True).ok
    assert frontend.run("hosts interfaces remove", running, "0").ok


def test_a_paused_guest(frontend: Frontend, running: str) -> None:
    call(*VIRSH, "suspend", "web1")
    refused = frontend.run("hosts interfaces remove", running, "0")
    assert (refused.status, "is paused" in refused.detail) == (409, True)
    added = frontend.run("hosts interfaces add", running, network="vlan20")
    assert added.data["applied"] == "now"


@contextmanager
def sniffing(*devices: str) -> Iterator[list[str]]:
    """Yield the list of the devices on which frames of the guest arrive, in their order."""
    own = bytes.fromhex(names.mac("web1", 0).replace(":", ""))
    seen: list[str] = []
    everything = 3  # ETH_P_ALL in linux/if_ether.h

    over = threading.Event()

    def receive() -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                frame, source = link.recvfrom(2000)
                if source[0] in devices and frame[6:12] == own:
                    seen.append(source[0])

    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(everything)) as link:
        link.settimeout(0.1)
        thread = threading.Thread(target=receive)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()


@contextmanager
def port_on(name: str, tag: int) -> Iterator[None]:
    """Give this machine a port in a VLAN of the bridge."""
    add = f"add-port br0 {name} tag={tag} -- set interface {name} type=internal"
    call("ovs-vsctl", *add.split())
    call("ip", "link", "set", name, "up")
    try:
        yield
    finally:
        call("ovs-vsctl", "del-port", name)


def test_a_linux_guest_moves_to_another_vlan_and_back(frontend: Frontend, linux: str) -> None:
    """Frames arrive on one VLAN, then on the other, in this order and never mixed."""
    with port_on("in10", 10), port_on("in20", 20), sniffing("in10", "in20") as seen:
        eventually(lambda: seen and seen[-1] == "in10", 60)
        for network, port in (("vlan20", "in20"), ("vlan10", "in10")):
            answer = frontend.run("hosts interfaces set", linux, "0", network=network)
            assert changes(answer) == [("network", network, "now")]
            eventually(partial(ends_with, seen, [port] * 3), 60)
            assert interfaces(frontend) == [(0, network, "up")]
            assert tags() == [int(network[4:])]
            assert (stored(), pending(frontend)) == ([network], [])
    assert runs(seen) == ["in10", "in20", "in10"]


def ends_with(seen: list[str], end: list[str]) -> bool:
    return seen[-len(end) :] == end


def runs(seen: list[str]) -> list[str]:
    """Return a list without repetitions."""
    return [name for i, name in enumerate(seen) if i == 0 or seen[i - 1] != name]


def test_a_linux_guest_gets_and_loses_an_interface(frontend: Frontend, linux: str) -> None:
    assert frontend.run("hosts interfaces add", linux, network="vlan20").data["applied"] == "now"
    removed = frontend.run("hosts interfaces remove", linux, "0")
    assert removed.ok
    assert (interfaces(frontend), tags()) == ([(1, "vlan20", "up")], [20])
    assert (stored(), pending(frontend)) == (["vlan20"], [])


def plant(port: str, uuid: str, tag: int) -> None:
    """Add a row such as a power cut leaves; libvirt would reuse it with its tag."""
    ids = [f"external_ids:{word}" for word in (f"vm-id={uuid}", "iface-status=active")]
    add = ["add-port", "br0", port, f"tag={tag}", "--", "set", "Interface", port]
    call("ovs-vsctl", "--no-wait", *add, *ids)


def next_ports() -> list[str]:
    """Return the names that libvirt may give to the next port."""
    number = max(int(name[4:]) for name in port_rows() if name.startswith("vnet"))
    return [f"vnet{number + after}" for after in (1, 2, 3)]


def test_stale_ports_are_removed_first(frontend: Frontend, running: str) -> None:
    uuid = frontend.run("hosts show", running).data["id"]
    for port in next_ports():
        plant(port, uuid, 99)
    added = frontend.run("hosts interfaces add", running, network="vlan20")
    assert added.data["applied"] == "now"
    assert tags() == [10, 20]


def test_a_port_that_another_program_changed(frontend: Frontend, running: str) -> None:
    """The interface gets no link, and the definition is as it was before."""
    assert frontend.run("hosts interfaces add", running, network="vlan20", link="down").ok
    port = frontend.run("hosts interfaces show", running, "1").data["port"]
    call("ovs-vsctl", "set", "Port", port, "tag=99")
    refused = frontend.run("hosts interfaces set", running, "1", link="up")
    assert (refused.status, "must not have a link" in refused.detail) == (409, True)
    assert interfaces(frontend)[1] == (1, "vlan20", "down")
    assert pending(frontend) == []
    call("ovs-vsctl", "set", "Port", port, "tag=20")
    assert frontend.run("hosts interfaces set", running, "1", link="up").ok


def test_without_open_vswitch(frontend: Frontend, running: str) -> None:
    before = (interfaces(frontend), stored())
    daemon("kill", "ovs-vswitchd")
    try:
        refused = frontend.run("hosts interfaces add", running, network="vlan20")
        assert refused.status == 503
    finally:
        daemon("start", "ovs-vswitchd")
    assert ((interfaces(frontend), stored()), tags()) == (before, [10])
    daemon("kill", "ovsdb-server")
    try:
        assert frontend.run("hosts interfaces add", running, network="vlan20").status == 503
        assert frontend.run("hosts interfaces set", running, "0", link="down").ok
        assert frontend.run("hosts interfaces set", running, "0", link="up").status == 503
    finally:
        daemon("start", "ovsdb-server")
        daemon("kill", "ovs-vswitchd")
        daemon("start", "ovs-vswitchd")
    assert interfaces(frontend) == [(0, "vlan10", "down")]
    assert frontend.run("hosts interfaces set", running, "0", link="up").ok
    assert frontend.run("hosts interfaces add", running, network="vlan20").data["applied"] == "now"


def test_networks_that_cannot_be_used(frontend: Frontend, running: str, tmp_path: Path) -> None:
    plain = tmp_path / "plain.xml"
    plain.write_text(
        "<network><name>plain</name><forward mode='bridge'/><bridge name='x'/></network>"
    )
    call(*VIRSH, "net-define", str(plain))
    call(*VIRSH, "net-destroy", "vlan20")
    try:
        for network, status, field in (
            ("nowhere", 400, "network"), ("plain", 400, "network"), ("vlan20", 409, None),
        ):  # fmt: skip
            for command, *index in (("add",), ("set", "0")):
                answer = frontend.run(
                    f"hosts interfaces {command}", running, *index, network=network
                )
                assert (answer.status, answer.field) == (status, field)
                assert network in answer.detail
    finally:
        call(*VIRSH, "net-start", "vlan20")
        call(*VIRSH, "net-undefine", "plain")
    assert interfaces(frontend) == [(0, "vlan10", "up")]


@pytest.mark.parametrize("index", ["-1", "256", "0x0", "a", "1.0", "٣", "9" * 99, "%00"])
def test_invalid_indexes(frontend: Frontend, web1: str, index: str) -> None:
    for command, given in (("set", {"link": "up"}), ("remove", {})):
        answer = frontend.run(f"hosts interfaces {command}", web1, index, **given)
        assert (answer.status, "whole number between 0 and 255" in answer.detail) == (400, True)


def test_wrong_input(frontend: Frontend, web1: str) -> None:
    missing = frontend.run("hosts interfaces set", web1, "7", link="up")
    assert (missing.status, missing.detail) == (
        404, "host 'web1' has no interface 7; its interfaces: 0",
    )  # fmt: skip
    assert frontend.run("hosts interfaces set", web1, "0").status == 400
    assert frontend.run("hosts interfaces add", web1).status == 400
    assert frontend.run("hosts interfaces add", web1, network="vlan20", link="x").status == 400
    assert frontend.run("hosts interfaces add", "nobody", network="vlan20").status == 404
    assert frontend.run("hosts interfaces remove", "nobody", "0").status == 404


def test_hosts_of_other_programs(frontend: Frontend) -> None:
    mac = "52:54:00:00:00:01"
    define(FOREIGN.format("foreign", mac))
    refused = frontend.run("hosts interfaces add", "foreign", network="vlan20")
    assert (refused.status, "adopt" in refused.detail) == (409, True)
    call(*SHCTL, "hosts", "adopt", "foreign")
    (row,) = frontend.run("hosts show", "foreign").data["interfaces"]
    assert (row["index"], row["mac"]) == (0, mac)
    assert frontend.run("hosts interfaces add", "foreign", network="vlan20").data["index"] == 1
    assert frontend.run("hosts interfaces remove", "foreign", "0").ok
    (row,) = frontend.run("hosts show", "foreign").data["interfaces"]
    assert (row["index"], row["network"]) == (1, "vlan20")
    assert frontend.run("hosts delete", "foreign").ok


def test_a_mac_address_that_another_host_has(frontend: Frontend, web1: str) -> None:
    """As after `virsh domrename`, or in a copy."""
    define(FOREIGN.format("other", names.mac("web1", 1)))
    refused = frontend.run("hosts interfaces add", web1, network="vlan20")
    assert (refused.status, "'other' has the MAC address" in refused.detail) == (409, True)
    call(*VIRSH, "undefine", "other")


def test_a_hung_qemu(frontend: Frontend, running: str) -> None:
    with stopped(qemu_pid(running)):
        answer = frontend.run("hosts interfaces set", running, "0", link="down")
    assert answer.status == 504
    assert interfaces(frontend)[0][:2] == (0, "vlan10")


def test_two_at_the_same_time(frontend: Frontend, web1: str) -> None:
    with ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(frontend.run, "hosts interfaces add", web1, network="vlan20")
            for _ in range(3)
        ]
    assert sorted(answer.result().data["index"] for answer in asked) == [1, 2, 3]
    with ThreadPoolExecutor() as pool:
        setting = pool.submit(frontend.run, "hosts interfaces set", web1, "0", network="tr")
        deleting = pool.submit(frontend.run, "networks delete", "tr")
    both = setting.result().status, deleting.result().status
    assert both in ((200, 409), (400, 200))
    if both[1] == 200:
        assert frontend.run("networks create", "tr", bridge="br0", vlan=5, trunk=[6, 7]).ok


def test_a_stop_at_the_same_time(frontend: Frontend, running: str) -> None:
    with ThreadPoolExecutor() as pool:
        adding = pool.submit(frontend.run, "hosts interfaces add", running, network="vlan20")
        stopping = pool.submit(frontend.run, "hosts stop", running, force=True)
    assert stopping.result().ok
    added = adding.result()
    assert added.ok or "stopped meanwhile" in added.detail or "not running" in added.detail
    assert stored() == (["vlan10", "vlan20"] if added.ok else ["vlan10"])
