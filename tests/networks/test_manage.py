"""`shctl networks` with real libvirt and Open vSwitch."""

import json
from collections.abc import Iterator

import pytest

from tests.support import call, connected, create, ok, port_of, port_rows, run

pytestmark = pytest.mark.usefixtures("vlan10")


@pytest.fixture
def net() -> Iterator[str]:
    """Yield a name; remove the network of that name afterwards."""
    yield "net_1.A-b"
    run("networks", "delete", "--yes", "net_1.A-b", "--if-exists")


def make(name: str, *more: str) -> dict[str, object]:
    words = f"-o json networks create {name} --bridge br0".split()
    made: dict[str, object] = json.loads(ok(*words, *more))
    return made


def test_created_is_active_autostarted_persistent_and_shown(net: str) -> None:
    made = make(net, "--vlan", "4094")
    assert made == {
        "name": net, "state": "active", "autostart": "yes", "persistent": "yes",
        "bridge": "br0", "vlan": 4094, "trunk": [], "hosts": [], "ports": [],
    }  # fmt: skip
    assert run("-o", "json", "networks", "show", net).json == made
    rows = {row["name"]: row for row in run("-o", "json", "networks", "list").json}
    assert rows[net] == {k: made[k] for k in ("name", "state", "autostart", "persistent")}
    assert call("virsh", "net-info", net).count("yes") == 3


def test_list_includes_foreign_networks() -> None:
    with connected() as connection:
        other = connection.networkDefineXML("<network><name>o'n&amp;e</name></network>")
        try:
            row = next(r for r in run("-o", "json", "networks", "list").json if "&" in r["name"])
            assert row == {
                "name": "o'n&e", "state": "inactive", "autostart": "no", "persistent": "yes",
            }  # fmt: skip
            shown = run("-o", "json", "networks", "show", "o'n&e").json
            assert (shown["vlan"], shown["trunk"], shown["ports"]) == (None, [], [])
            refused = run("networks", "delete", "--yes", "o'n&e")
            assert refused.code == 4
            assert "not on Open vSwitch" in refused.err
        finally:
            other.undefine()


@pytest.mark.parametrize("vlan", ["-1", "0", "4095", "4096", "10.5", "true", "null", "", "1e1"])
def test_r21_vlan_out_of_range(vlan: str, net: str) -> None:
    done = run("networks", "create", net, "--bridge", "br0", f"--vlan={vlan}")
    assert (done.code, done.out) == (2, "")
    assert run("networks", "show", net).code == 3


def test_r21_fake_bridge(net: str) -> None:
    """No host could start on it: its port would be created on the parent bridge."""
    call("ovs-vsctl", "--no-wait", "add-br", "fake", "br0", "50")
    try:
        done = run("networks", "create", net, "--vlan", "5", "--bridge", "fake")
    finally:
        call("ovs-vsctl", "--no-wait", "del-br", "fake")
    assert (done.code, "existing bridges: br0" in done.err) == (2, True), done


@pytest.mark.parametrize("bridge", ["br9", "", "-x", "br0; id", "../br0", "br0\nbr0", "é"])
def test_r21_missing_bridge(bridge: str, net: str) -> None:
    done = run("networks", "create", net, "--vlan", "5", f"--bridge={bridge}")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "br0" in done.err or "cannot be a name" in done.err


def test_port_is_not_a_bridge(net: str) -> None:
    call("ovs-vsctl", "--no-wait", "add-port", "br0", "notabridge")
    try:
        assert run("networks", "create", net, "--vlan=5", "--bridge=notabridge").code == 2
    finally:
        call("ovs-vsctl", "del-port", "notabridge")


@pytest.mark.parametrize("trunk", [["5"], ["6", "6"], ["0"], ["4095"], ["x"]])
def test_invalid_trunk(trunk: list[str], net: str) -> None:
    tags = [word for tag in trunk for word in ("--trunk", tag)]
    assert run("networks", "create", net, "--bridge=br0", "--vlan=5", *tags).code == 2


def test_create_twice_is_a_conflict_without_if_not_exists(net: str) -> None:
    first = make(net, "--vlan", "5")
    again = run("networks", "create", net, "--bridge", "br0", "--vlan", "6")
    assert again.code == 4
    assert "already exists" in again.err
    assert make(net, "--vlan", "5", "--if-not-exists") == first


@pytest.mark.parametrize("other", [["--vlan=6"], ["--vlan=5", "--trunk=7"]])
def test_different_network_of_the_same_name_is_a_conflict(other: list[str], net: str) -> None:
    """Hosts would start in its VLAN."""
    make(net, "--vlan", "5")
    done = run("networks", "create", net, "--bridge=br0", *other, "--if-not-exists")
    assert (done.code, done.err.count("\n")) == (4, 1)
    assert "already exists and differs: bridge br0, vlan 5" in done.err


def test_repeated_deletion(net: str) -> None:
    make(net, "--vlan", "5")
    ok("networks", "delete", "--yes", net)
    assert run("networks", "delete", "--yes", net).code == 3
    assert "does not exist" in ok("networks", "delete", "--yes", net, "--if-exists")


def test_ports_match_open_vswitch(net: str) -> None:
    make(net, "--vlan=5", "--trunk=7", "--trunk=6")
    create("trunked", "--start", network=net)
    row = port_rows()[port_of("trunked")]
    assert (row["tag"], row["trunks"], row["vlan_mode"]) == (
        5,
        ["set", [5, 6, 7]],
        "native-untagged",
    )
    shown = run("-o", "json", "networks", "show", net).json
    assert shown["hosts"] == ["trunked"]
    port = shown["ports"][0]
    assert (port["host"], port["interface"], port["tag"]) == ("trunked", row["name"], 5)
    # A tag changed by hand is shown as it is.
    call("ovs-vsctl", "set", "port", row["name"], "tag=99")
    assert run("-o", "json", "networks", "show", net).json["ports"][0]["tag"] == 99
    ok("hosts", "delete", "--yes", "trunked")


def test_r07_network_in_use_is_kept(net: str) -> None:
    make(net, "--vlan", "5")
    create("live", "--start", network=net)
    create("stored", network=net)
    port = port_of("live")
    refused = run("networks", "delete", "--yes", net)
    assert refused.code == 4
    assert "in use by live, stored" in refused.err
    assert port_rows()[port]["tag"] == 5
    ok("hosts", "delete", "--yes", "live")
    assert "in use by stored;" in run("networks", "delete", "--yes", net).err
    ok("hosts", "delete", "--yes", "stored")
    ok("networks", "delete", "--yes", net)


def test_r07_network_used_only_by_the_running_host(net: str) -> None:
    """The stored definition already has another network; the running one does not."""
    make(net, "--vlan", "5")
    create("moved", "--start", network=net)
    with connected() as connection:
        xml = connection.lookupByName("moved").XMLDesc(2)
        connection.defineXML(xml.replace(f"network='{net}'", "network='vlan10'"))
    assert "in use by moved" in run("networks", "delete", "--yes", net).err
    ok("hosts", "delete", "--yes", "moved")


def test_inactive_network_is_deleted_and_not_used(net: str) -> None:
    make(net, "--vlan", "5")
    call("virsh", "net-destroy", net)
    refused = run("hosts", "create", "x", "--memory=64", "--disk=1", "--network", net)
    assert refused.code == 2
    assert "inactive; start it with 'virsh net-start" in refused.err
    ok("networks", "delete", "--yes", net)


def test_simulated_hypervisor_needs_no_switch() -> None:
    made = run("-c", "test:///default", *"networks create x --bridge any --vlan 7 -o json".split())
    assert made.json["bridge"] == "any"
