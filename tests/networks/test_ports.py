"""Stale port rows, the VLAN check, and devices in other namespaces."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shctl.common import paths
from shctl.hypervisor.connection import Hypervisor
from shctl.networks import devices, openvswitch, ports, stale_ports
from shctl.networks.choice import switch_of
from shctl.networks.devices import Devices
from shctl.networks.switch import PortRow
from shctl.xml.interfaces import InterfaceRow
from tests.support import call
from tests.systemd_unit import as_service

UUID = "8e2a1b5a-9a6b-4e0e-8a43-3f5f0f6d2c11"
OTHER = "0f0c1b9e-3c56-4b7e-9d55-2b9d5a3f7a01"
STORED = f"<!-- made --><domain type='qemu'><name>a</name><uuid>{UUID}</uuid></domain>"
READ_DEVICES = (
    "from shctl.networks import devices; d = devices.everywhere();"
    " print(d.complete, *sorted(d.names))"
)


def row(name: str = "vnet3", domain: str | None = UUID, kind: str = "") -> PortRow:
    return PortRow("u", name, "br0", 5, (), None, domain, kind)


@pytest.mark.parametrize(
    ("it", "names", "complete", "is_stale"),
    [
        (row(), {"lo"}, True, True),
        (row("web0"), {"lo"}, True, True),
        (row(), {"vnet3"}, True, False),
        (row(), {"lo"}, False, False),
        (row(domain=OTHER), {"lo"}, True, False),
        (row(domain=None), {"lo"}, True, False),
        (row(domain=""), {"lo"}, True, False),
        (row(kind="internal"), {"lo"}, True, False),
        (row(kind="dpdkvhostuserclient"), {"lo"}, True, False),
        (row(kind="bond"), {"lo"}, True, False),
        (row("--all"), {"lo"}, True, False),
    ],
)
def test_find_stale(
    it: PortRow, names: set[str], complete: bool, is_stale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "everywhere", lambda: Devices(frozenset(names), complete))
    assert ports.find_stale([it], lambda: {UUID, ""}) == ([it] if is_stale else [])


def test_slow_calls_are_made_only_if_a_row_may_be_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Devices:
        pytest.fail("asked for nothing")

    monkeypatch.setattr(devices, "everywhere", never)
    assert ports.find_stale([row(domain=None), row(kind="internal")], never) == []  # type: ignore[arg-type]
    assert ports.find_stale([row()], lambda: {OTHER}) == []
    assert ports.find_conflict([row("tap3", None), row("tap4", OTHER)], ["web0"], UUID) is None


@pytest.mark.parametrize(
    ("it", "is_conflict"),
    [
        (row("web0", OTHER), True),
        (row("web0", None), True),
        (row("web0", UUID), False),
        (row("vnet3", OTHER, "internal"), True),
        (row("vnet3", None, "internal"), True),
        (row("vnet3", OTHER), False),  # the check after the start compares the tags
        (row("vnet4", OTHER), True),
        (row("vnet5", OTHER, "internal"), False),
        (row("vnet٣", OTHER, "internal"), False),
        (row("ovn3", OTHER, "internal"), False),
    ],
)
def test_find_conflict(it: PortRow, is_conflict: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """vnet5 has a device here, vnet4 has one in another namespace."""
    monkeypatch.setattr(devices, "here", lambda: frozenset({"vnet5"}))
    monkeypatch.setattr(
        devices, "everywhere", lambda: Devices(frozenset({"vnet4", "vnet5"}), complete=False)
    )
    assert ports.find_conflict([it], ["web0"], UUID) == (it if is_conflict else None)


# --- the VLAN check ----------------------------------------------------------------------------


def interface(vlan: int | None = 5, trunk: tuple[int, ...] = ()) -> InterfaceRow:
    return InterfaceRow("vlan5", None, "52:54:00:00:00:01", "br0", True, vlan, trunk, "vnet3")


def test_host_without_interfaces_has_no_mismatch() -> None:
    assert ports.find_mismatch([], [row()]) is None


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (interface(), {}),
        (interface(), {"vlan_mode": "access"}),
        (interface(None), {"tag": None}),
        (interface(None, (6, 7)), {"tag": None, "trunk": (6, 7)}),
        (interface(None, (6, 7)), {"tag": None, "trunk": (6, 7), "vlan_mode": "trunk"}),
        # libvirt adds the native tag to the trunk.
        (interface(5, (6,)), {"trunk": (5, 6), "vlan_mode": "native-untagged"}),
        (interface(5, (6,)), {"trunk": (6,), "vlan_mode": "native-tagged"}),
    ],
)
def test_port_that_matches_its_interface(expected: InterfaceRow, found: dict[str, Any]) -> None:
    assert ports.find_mismatch([expected], [row("vnet2"), replace(row(), **found)]) is None


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (interface(), {"bridge": "br1"}),
        (interface(), {"tag": 6}),
        (interface(), {"tag": None}),
        (interface(None), {}),
        (interface(), {"trunk": (6,)}),
        (interface(5, (6,)), {"trunk": (5, 6, 7), "vlan_mode": "native-untagged"}),
        (interface(5, (6,)), {"trunk": (5,), "vlan_mode": "native-untagged"}),
        # Open vSwitch ignores the tag of a port in mode trunk, and the trunk of an access port.
        (interface(), {"vlan_mode": "trunk"}),
        (interface(), {"vlan_mode": "native-untagged"}),
        (interface(5, (6,)), {"trunk": (5, 6), "vlan_mode": "access"}),
        (interface(5, (6,)), {"trunk": (5, 6)}),
        (interface(None, (6,)), {"tag": None, "trunk": (6,), "vlan_mode": "dot1q-tunnel"}),
    ],
)
def test_port_that_differs_from_its_interface(
    expected: InterfaceRow, found: dict[str, Any]
) -> None:
    problem = ports.find_mismatch([expected], [replace(row(), **found)])
    assert problem
    assert problem.startswith("its port vnet3 has (bridge, tag, trunk) ")


def test_mismatch_names_what_was_found_and_what_was_expected() -> None:
    assert ports.find_mismatch([interface(6)], [row()]) == (
        "its port vnet3 has (bridge, tag, trunk) ('br0', 5, ()) and VLAN mode None in Open vSwitch"
        " instead of ('br0', 6, ()); check which program changed it"
    )


def test_missing_port() -> None:
    problem = ports.find_mismatch([interface()], [row("vnet2")])
    assert problem == "Open vSwitch has no port vnet3; is openvswitch-switch running?"


def test_port_with_a_type() -> None:
    problem = ports.find_mismatch([interface()], [row(kind="internal")])
    assert problem == "its port vnet3 in Open vSwitch has type internal; check what created it"


def test_one_wrong_port_of_several_is_reported() -> None:
    second = replace(interface(7), port="vnet4")
    problem = ports.find_mismatch([interface(), second], [row(), row("vnet4")])
    assert problem
    assert problem.startswith("its port vnet4 has")


def test_simulated_hypervisor_has_a_switch_without_bridges_and_ports() -> None:
    switch = switch_of(Hypervisor("test:///default"))
    switch.check()
    switch.remove_stale_ports([row()])
    assert (switch.bridges(), switch.ports(), switch.carries(interface())) == ([], [], False)


def test_hypervisor_with_qemu_has_open_vswitch() -> None:
    assert switch_of(Hypervisor("qemu:///system")) is openvswitch
    assert openvswitch.carries(interface())
    assert not openvswitch.carries(replace(interface(), switched=False))


# --- namespaces --------------------------------------------------------------------------------


@contextmanager
def named(name: str) -> Iterator[str]:
    call("ip", "netns", "add", name)
    try:
        call("ip", "-n", name, "link", "add", f"in-{name}", "type", "veth")
        yield f"in-{name}"
    finally:
        call("ip", "netns", "delete", name)


@contextmanager
def unnamed() -> Iterator[str]:
    """Start a process in a network namespace that is not mounted."""
    script = "ip link add in-unnamed type veth && echo ready && exec sleep 60"
    argv = ["unshare", "--net", "bash", "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield "in-unnamed"
        process.kill()


def devices_seen(*as_whom: str) -> tuple[bool, set[str]]:
    """Read all devices in a separate process; return `complete` and the names."""
    complete, *names = call(*as_whom, "python3", "-c", READ_DEVICES).split()
    return complete == "True", set(names)


@pytest.mark.hypervisor
def test_devices_of_all_namespaces() -> None:
    assert "lo" in devices.here()
    before = Path("/proc/thread-self/ns/net").readlink()
    with named("one") as one, named("two") as two, unnamed() as three:
        Path("/run/netns/none").touch()  # left by a failed `ip netns add`
        Path("/run/netns/gone").symlink_to("/nowhere")
        os.mkfifo("/run/netns/fifo")
        found = devices.everywhere()
        for name in ("none", "gone", "fifo"):
            Path("/run/netns", name).unlink()
    assert found.complete
    assert {one, two, three, "lo", "br0"} <= found.names
    assert not {one, two, three} & devices.here()
    assert Path("/proc/thread-self/ns/net").readlink() == before


@pytest.mark.hypervisor
def test_service_without_capabilities_sees_processes_but_enters_no_namespace() -> None:
    with unnamed() as device:
        complete, names = devices_seen(*as_service())
        assert (complete, device in names) == (True, True)
        with named("closed") as hidden:
            complete, names = devices_seen(*as_service())
            assert (complete, hidden in names, device in names) == (False, False, True)
            assert devices_seen() == (True, {*names, hidden})


@pytest.mark.hypervisor
def test_hidden_processes_are_not_treated_as_absent() -> None:
    """hidepid=invisible, which the unit's ProtectProc= sets, hides nothing from group root."""
    hiding = ["unshare", "--mount", "--propagation=private", "bash", "-c"]
    with unnamed() as device:
        script = 'mount -t proc -o hidepid=ptraceable proc /proc && exec "$@"'
        complete, names = devices_seen(*hiding, script, "hiding", *as_service())
        assert (complete, device in names) == (False, False)


def test_namespaces_that_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = threading.Event()

    def slow() -> list[Path]:
        seen.wait()
        return []

    monkeypatch.setattr(devices, "_TIMEOUT", 0.1)
    monkeypatch.setattr(devices, "_mounted", slow)
    assert not devices.everywhere().complete
    seen.set()


# --- before libvirtd runs ----------------------------------------------------------------------


def test_unit_does_not_import_libvirt() -> None:
    """At boot it must work without libvirt."""
    script = "import sys; import shctl.networks.stale_ports; print('libvirt' in sys.modules)"
    assert call(sys.executable, "-c", script) == "False\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return directories for the files of stored and of running hosts, with one stored host."""
    stored, running = tmp_path / "stored", tmp_path / "running"
    stored.mkdir()
    (stored / "a.xml").write_text(STORED)
    (stored / "networks").mkdir()
    monkeypatch.setattr(paths, "stored_hosts", lambda: stored)
    monkeypatch.setattr(paths, "running_hosts", lambda: running)
    return stored, running


def test_inactive_are_stored_hosts_that_do_not_run(files: tuple[Path, Path]) -> None:
    stored, running = files
    assert stale_ports.inactive_hosts() == {UUID}
    running.mkdir()
    (stored / "b.xml").write_text(STORED.replace(UUID, OTHER))
    (running / "a.xml").write_text(f"<domstatus state='running'>{STORED[13:]}</domstatus>")
    assert stale_ports.inactive_hosts() == {OTHER}


BOMB = f"""<!DOCTYPE d [<!ENTITY a "{UUID}">]><domain><uuid>&a;</uuid></domain>"""


LONG = STORED + " " * (5 * 2**20)
BAD = {"empty": "", "cut": "<domain>", "bare": "<domain/>", "other": "<a/>", "bomb": BOMB}


@pytest.mark.parametrize("text", [*BAD.values(), LONG], ids=[*BAD, "long"])
def test_file_without_a_host(text: str, files: tuple[Path, Path]) -> None:
    """If a running host's file is invalid, no host counts as inactive."""
    stored, running = files
    (stored / "b.xml").write_text(text)
    assert stale_ports.inactive_hosts() == {UUID}
    running.mkdir()
    (running / "b.xml").write_text(text)
    assert stale_ports.inactive_hosts() == set()


def test_special_file_of_a_running_host(files: tuple[Path, Path]) -> None:
    _, running = files
    running.mkdir()
    os.mkfifo(running / "b.xml")
    assert stale_ports.inactive_hosts() == set()
    (running / "b.xml").unlink()
    (running / "b.xml").symlink_to("/etc/passwd")
    assert stale_ports.inactive_hosts() == set()


def test_file_in_place_of_the_directory_of_running_hosts(files: tuple[Path, Path]) -> None:
    files[1].write_text("")
    assert stale_ports.inactive_hosts() == set()
