"""Changes of interfaces that are killed or interrupted: never on a wrong VLAN, and completed."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from shctl.doctor import examine
from shctl.hypervisor.connection import Hypervisor
from shctl.networks import ports
from tests import linux_guest
from tests.kill_points import Forker
from tests.support import URI, call, ok, port_rows, run, show

pytestmark = pytest.mark.usefixtures("vlan10")

CREATE = "hosts create web1 --memory 256 --disk 1 --network vlan10"
ADD = "hosts interfaces add web1 --network vlan20"
REMOVE = "hosts interfaces remove web1 1"
VLANS = {"vlan10": 10, "vlan20": 20}


@pytest.fixture
def web1(vlan10: None) -> Iterator[str]:
    """Return a running host whose guest supports hot-plug."""
    ok(*"networks create vlan20 --bridge br0 --vlan 20".split())
    ok(*CREATE.split())
    with linux_guest.booted("web1"):
        yield "web1"
        ok("hosts", "delete", "--yes", "web1")
    ok("networks", "delete", "--yes", "vlan20")


def interfaces() -> list[tuple[int, str, str]]:
    return [(row["index"], row["network"], row["link"]) for row in show("web1")["interfaces"]]


def stored() -> list[str]:
    """Return the networks in the stored definition."""
    return call("virsh", "-q", "domiflist", "web1", "--inactive").split()[2::5]


def check_vlans() -> None:
    """Check the port of each interface that has a link, with Open vSwitch itself."""
    hypervisor, rows = Hypervisor(URI), port_rows()
    assert ports.find_wrong(hypervisor, hypervisor.domain("web1")) is None
    for row in show("web1")["interfaces"]:
        assert row["link"] == "down" or rows[row["port"]]["tag"] == VLANS[row["network"]]


def findings() -> list[Any]:
    return [finding for finding in examine(Hypervisor(URI)) if "no link" not in finding.problem]


def points(shctl: Forker, words: str) -> list[str]:
    assert shctl.run(*words.split()) == 0
    return shctl.trace


def move(network: str) -> str:
    return f"hosts interfaces set web1 0 --network {network}"


def test_a_move_killed_at_each_point(web1: str, shctl: Forker) -> None:
    passed = points(shctl, move("vlan20"))
    assert sum(point.endswith("_run") for point in passed) == 5
    network = "vlan20"
    for point in range(1, len(passed) + 1):
        network = {"vlan10": "vlan20", "vlan20": "vlan10"}[network]
        assert shctl.run(*move(network).split(), kill_at=point) == -signal.SIGKILL
        check_vlans()
        assert findings() == []
        # The next start is as requested, and the same command completes what runs.
        assert stored() == [network]
        ok(*move(network).split())
        assert interfaces() == [(0, network, "up")]
        check_vlans()
        assert show("web1")["pending"] == []
        assert examine(Hypervisor(URI)) == []


def test_an_addition_killed_at_each_point(web1: str, shctl: Forker) -> None:
    passed, first = points(shctl, ADD), interfaces()[0]
    assert first[:1] == (0,)
    ok(*REMOVE.split())
    for point in range(1, len(passed) + 1):
        assert shctl.run(*ADD.split(), kill_at=point) == -signal.SIGKILL
        check_vlans()
        assert findings() == []
        ok(*"hosts interfaces set web1 1 --network vlan20".split())
        assert interfaces() == [first, (1, "vlan20", "up")]
        check_vlans()
        assert show("web1")["pending"] == []
        assert shctl.run(*REMOVE.split(), kill_at=1) == -signal.SIGKILL
        ok(*REMOVE.split())
        assert (interfaces(), stored()) == ([first], [first[1]])
        assert examine(Hypervisor(URI)) == []


def test_a_change_interrupted_at_each_point(web1: str, shctl: Forker) -> None:
    """Ctrl-C rolls back, unless all is done."""
    network = interfaces()[0][1]
    other = {"vlan10": "vlan20", "vlan20": "vlan10"}[network]
    passed = points(shctl, move(other))
    network, other = other, network
    for point in range(1, len(passed) + 1):
        shctl.begin(*move(other).split(), kill_at=point, number=signal.SIGINT)
        if shctl.end() == 0:
            network, other = other, network
        assert (interfaces(), stored()) == ([(0, network, "up")], [network])
        check_vlans()
        assert examine(Hypervisor(URI)) == []


def plant(port: str) -> None:
    """Add a row of an unknown owner with another tag, which libvirt 9 reuses."""
    ids = ["external_ids:vm-id=11111111-2222-3333-4444-555555555555"]
    add = ["add-port", "br0", port, "tag=99", "--", "set", "Interface", port]
    call("ovs-vsctl", "--no-wait", *add, *ids)


def test_a_port_with_another_tag(web1: str) -> None:
    """The interface never gets a link; the guest releases it again, and nothing has changed."""
    number = int(show("web1")["interfaces"][0]["port"][4:])
    planted = [f"vnet{number + after}" for after in (1, 2, 3, 4)]
    for port in planted:
        plant(port)
    done = run(*ADD.split())
    assert (done.code, "instead of" in done.err, "left behind" in done.err) == (4, True, False)
    assert (interfaces(), stored()) == ([(0, "vlan10", "up")], ["vlan10"])
    # Moving back goes to a port with a wrong tag too: the interface remains without a link.
    done = run(*move("vlan20").split())
    assert (done.code, "left behind: interface 0 of host web1" in done.err) == (4, True)
    assert (interfaces(), stored()) == ([(0, "vlan10", "down")], ["vlan10"])
    for port in planted:
        call("ovs-vsctl", "--if-exists", "del-port", port)
