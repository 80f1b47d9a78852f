"""Reading and changing Open vSwitch with the real ovs-vsctl."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shctl.common.errors import NotFound, ShctlError, Unreachable
from shctl.networks import openvswitch
from shctl.networks.switch import PortRow
from tests.support import call, daemon

pytestmark = pytest.mark.hypervisor

UUID = "8e2a1b5a-9a6b-4e0e-8a43-3f5f0f6d2c11"


@pytest.fixture
def rows() -> Iterator[None]:
    """Plant an access port, a trunk with a native tag, and a row as libvirt creates it.

    Like stale rows, they have no device.
    """
    trunk = ["tag=5", "trunks=7,5,6", "vlan_mode=native-untagged"]
    vsctl("add-port", "br0", "p1", "tag=10")
    vsctl("add-port", "br0", "p2", *trunk)
    vsctl("add-port", "br0", "p3", "--", "set", "interface", "p3", f"external_ids:vm-id={UUID}")
    yield
    for name in ("p1", "p2", "p3"):
        vsctl("--if-exists", "del-port", name)


def vsctl(*arguments: str) -> None:
    call("ovs-vsctl", "--no-wait", *arguments)


def by_name() -> dict[str, PortRow]:
    return {row.name: replace(row, uuid="") for row in openvswitch.ports()}


def the_row() -> PortRow:
    return next(row for row in openvswitch.ports() if row.name == "p3")


def test_bridges() -> None:
    call("ovs-vsctl", "add-br", "br-7", "--", "set", "bridge", "br-7", "datapath_type=netdev")
    try:
        call("ovs-vsctl", "--no-wait", "add-br", "fake", "br-7", "50")
        assert "fake" in call("ovs-vsctl", "list-br").split()
        assert openvswitch.bridges() == ["br-7", "br0"]
    finally:
        call("ovs-vsctl", "del-br", "br-7")


@pytest.mark.usefixtures("rows")
def test_ports_are_read_unchanged() -> None:
    found = by_name()
    assert found["p1"] == PortRow("", "p1", "br0", 10, (), None, None)
    assert found["p2"] == PortRow("", "p2", "br0", 5, (5, 6, 7), "native-untagged", None)
    assert found["p3"] == PortRow("", "p3", "br0", None, (), None, UUID)
    assert found["br0"].bridge == "br0"


@pytest.mark.usefixtures("rows")
def test_ports_with_line_separators_in_foreign_columns() -> None:
    before = openvswitch.ports()
    call("ovs-vsctl", "set", "Interface", "br0", 'external_ids:note="a\u2028b\u0085c"')
    assert openvswitch.ports() == before
    call("ovs-vsctl", "remove", "Interface", "br0", "external_ids", "note")


@pytest.mark.usefixtures("rows")
def test_stale_rows_are_removed() -> None:
    found = by_name()
    openvswitch.remove_stale_ports([the_row()])
    assert set(by_name()) == set(found) - {"p3"}


@pytest.mark.usefixtures("rows")
def test_row_with_another_owner_is_kept() -> None:
    row = the_row()
    vsctl("set", "interface", "p3", "external_ids:vm-id=somebody-else")
    openvswitch.remove_stale_ports([row])
    assert "p3" in by_name()


@pytest.mark.usefixtures("rows")
def test_row_removed_meanwhile() -> None:
    row = the_row()
    vsctl("del-port", "p3")
    openvswitch.remove_stale_ports([row])
    assert "p3" not in by_name()


@pytest.mark.usefixtures("rows")
def test_new_row_of_a_host_that_started_meanwhile_is_kept() -> None:
    row = the_row()
    owner = f"external_ids:vm-id={UUID}"
    vsctl("del-port", "p3", "--", "add-port", "br0", "p3", "--", "set", "interface", "p3", owner)
    openvswitch.remove_stale_ports([row])
    assert "p3" in by_name()


@pytest.mark.usefixtures("rows")
def test_many_rows_removed_meanwhile_cost_one_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = the_row()
    vsctl("del-port", "p3")
    calls: list[tuple[str, ...]] = []
    real = openvswitch._vsctl

    def counted(*arguments: str, **more: int) -> str:
        calls.append(arguments)
        return real(*arguments, **more)

    monkeypatch.setattr(openvswitch, "_vsctl", counted)
    openvswitch.remove_stale_ports([row] * 20)
    assert len([words for words in calls if "wait-until" in words]) == 1


@pytest.mark.usefixtures("rows")
def test_row_whose_type_has_changed_is_kept() -> None:
    row = the_row()
    vsctl("set", "interface", "p3", "type=internal")
    openvswitch.remove_stale_ports([row])
    assert "p3" in by_name()


@pytest.mark.usefixtures("rows")
def test_row_with_a_new_device_is_an_error() -> None:
    row = the_row()
    call("ip", "link", "add", "p3", "type", "veth")
    try:
        call("ovs-vsctl", "set", "interface", "p3", "mtu_request=1400")
        with pytest.raises(Unreachable):
            openvswitch.remove_stale_ports([row])
        assert "p3" in by_name()
    finally:
        call("ip", "link", "delete", "p3")


@pytest.mark.usefixtures("rows")
def test_bond_has_no_domain() -> None:
    set_id = ["--", "set", "interface", "p4", f"external_ids:vm-id={UUID}"]
    vsctl("add-bond", "br0", "p4", "p4", "p5", *set_id)
    try:
        assert (by_name()["p4"].type, by_name()["p4"].domain) == ("bond", None)
    finally:
        vsctl("del-port", "p4")


@pytest.mark.usefixtures("rows")
def test_row_that_remains_is_an_error() -> None:
    row = the_row()
    daemon("stop", "ovsdb-server")
    try:
        with pytest.raises(Unreachable):
            openvswitch.remove_stale_ports([row])
    finally:
        daemon("start", "ovsdb-server")


@pytest.mark.usefixtures("rows")
def test_removal_works_while_vswitchd_is_down() -> None:
    daemon("kill", "ovs-vswitchd")
    try:
        openvswitch.remove_stale_ports([the_row()])
        assert "p3" not in by_name()
    finally:
        daemon("start", "ovs-vswitchd")


def test_ovsdb_server_gone() -> None:
    daemon("stop", "ovsdb-server")
    try:
        with pytest.raises(Unreachable, match="is openvswitch-switch running, and are you root"):
            openvswitch.bridges()
    finally:
        daemon("start", "ovsdb-server")


def test_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="install openvswitch-switch"):
        openvswitch.ports()


def test_failure_names_command_and_status() -> None:
    with pytest.raises(ShctlError, match="ovs-vsctl .* frob failed with 1: .*unknown command"):
        openvswitch._vsctl("frob")


def test_missing_row_is_not_found() -> None:
    with pytest.raises(NotFound):
        openvswitch._vsctl("get", "Port", "none", "tag")
