"""Scoreboard R16 to R22: parts of the hypervisor are dead, hung, wrong or full."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import pytest

from shctl.common.errors import TimedOut
from shctl.hosts import power, stopping
from shctl.hypervisor.connection import Hypervisor
from tests.scoreboard import Figures
from tests.support import (
    URI,
    call,
    create,
    daemon,
    eventually,
    ok,
    port_of,
    port_rows,
    qemu_pid,
    run,
    state,
    stopped,
)

pytestmark = pytest.mark.usefixtures("vlan10")

UUID = "8e2a1b5a-9a6b-4e0e-8a43-3f5f0f6d2c11"  # of no domain


def test_r16_one_qemu_hangs(figures: Figures) -> None:
    """Lists, shows and operations on the other host work; the deletion ends in time."""
    create("hangs", "--start")
    create("works", "--start")
    with stopped(qemu_pid("hangs")):
        with figures.within(5, "reads"):
            assert "hangs" in ok("-o", "name", "hosts", "list").splitlines()
            assert state("hangs") == "running"
            assert run("networks", "show", "vlan10").code == 0
        with figures.within(10, "the other host"):
            ok("hosts", "stop", "works", "--force")
            ok("hosts", "start", "works")
        with figures.within(30, "deletion"):
            ok("hosts", "delete", "--yes", "hangs")
    ok("hosts", "delete", "--yes", "works")


def test_r16_hung_qemu_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt waits for QEMU's responses without a timeout."""
    monkeypatch.setattr(power, "_QEMU_TIMEOUT", 0.5)
    create("hangs", "--start")
    hypervisor = Hypervisor(URI)
    with stopped(qemu_pid("hangs")):
        with pytest.raises(TimedOut, match="QEMU of host 'hangs' did not answer"):
            stopping.reboot(hypervisor, "hangs", force=True)
        done = run("hosts", "stop", "hangs", "--timeout", "0.5")
        assert (done.code, "still running" in done.err) == (5, True)
        ok("hosts", "stop", "hangs", "--timeout", "0.5", "--force")
    assert state("hangs") == "shut off"
    ok("hosts", "delete", "--yes", "hangs")


def test_r17_killed_qemu_is_shown_as_crashed_and_its_port_removed() -> None:
    create("dies", "--start")
    port = port_of("dies")
    os.kill(qemu_pid("dies"), signal.SIGKILL)
    eventually(lambda: state("dies") == "crashed")
    eventually(lambda: port not in port_rows())
    ok("hosts", "start", "dies")
    assert state("dies") == "running"
    ok("hosts", "delete", "--yes", "dies")


@pytest.mark.parametrize("way", ["start", "create"])
def test_r18_vswitchd_down_at_a_start(way: str, figures: Figures) -> None:
    if way == "start":
        create("early")
    before = set(port_rows())
    daemon("kill", "ovs-vswitchd")
    try:
        words = "hosts create early --memory 64 --disk 1 --network vlan10 --start"
        with figures.within(10, "error"):
            done = run(*(words if way == "create" else "hosts start early").split())
        assert done.code == 6
        assert "is ovs-vswitchd running" in done.err
        assert "cannot start host 'early'" in done.err
        assert set(port_rows()) == before
    finally:
        daemon("start", "ovs-vswitchd")
    ok("hosts", "delete", "--yes", "early", "--if-exists")


@pytest.mark.parametrize("how", ["gone", "hangs"])
def test_r19_switch_does_not_respond(how: str, figures: Figures) -> None:
    create("quiet")
    with silent(how):
        dry = "hosts create dry --memory 16 --disk 1 --network vlan10 --start --dry-run"
        for line in ("networks create x --bridge br0 --vlan 3", "hosts start quiet", dry):
            with figures.within(6, "error"):
                assert run(*line.split()).code == 6
        # Commands that need no switch are not delayed.
        assert run("hosts", "list").code == 0
        assert run("networks", "list").code == 0
        # Neither is the deletion of a host without a port.
        assert state("quiet") == "shut off"
        ok("hosts", "delete", "--yes", "quiet")
    assert run("networks", "show", "x").code == 3


def test_r19_running_host_is_not_half_deleted() -> None:
    create("runs", "--start")
    with silent("gone"):
        done = run("hosts", "delete", "--yes", "runs")
        assert (done.code, done.err.count("\n")) == (6, 1)
        assert state("runs") == "running"
    ok("hosts", "reboot", "runs")
    ok("hosts", "delete", "--yes", "runs")


@contextmanager
def silent(how: str) -> Iterator[None]:
    if how == "hangs":
        with stopped(int(Path("/run/openvswitch/ovsdb-server.pid").read_text())):
            yield
        return
    daemon("stop", "ovsdb-server")
    try:
        yield
    finally:
        daemon("start", "ovsdb-server")


@pytest.fixture
def next_port() -> str:
    """Return the name of libvirt's next port; the numbers are consecutive."""
    create("probe", "--start")
    used = int(port_of("probe").removeprefix("vnet"))
    ok("hosts", "delete", "--yes", "probe")
    return f"vnet{used + 1}"


STALE = {
    "another tag": ["tag=99"],
    "no tag": [],
    "a trunk": ["trunks=98,99"],
    "native": ["tag=10", "vlan_mode=native-untagged"],
    "every VLAN": ["tag=10", "vlan_mode=trunk"],
}


OWNERS = ["a host that is off", "nobody"]


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Return the UUID of the stale row's owner."""
    create("owner")
    uuid = str(run("-o", "json", "hosts", "show", "owner").json["id"])
    if request.param == "a deleted host":
        ok("hosts", "delete", "--yes", "owner")
    yield {"an unknown host": UUID, "nobody": None}.get(request.param, uuid)
    ok("hosts", "delete", "--yes", "owner", "--if-exists")


@pytest.mark.parametrize(
    ("owner", "columns"),
    [
        *((owner, columns) for owner in OWNERS for columns in STALE.values()),
        *((owner, STALE["another tag"]) for owner in ("a deleted host", "an unknown host")),
    ],
    ids=[
        *(f"{owner}, {how}" for owner in OWNERS for how in STALE),
        *("a deleted host", "an unknown host"),
    ],
    indirect=["owner"],
)
def test_r20_stale_row(owner: str | None, columns: list[str], next_port: str) -> None:
    """A stale port is removed; if it has another owner, the host gets its tag or does not start.

    libvirt 11 writes the tag into a row that it takes over, libvirt 9 does not.
    """
    vsctl("add-port", "br0", next_port, *columns, *ids(next_port, owner))
    done = run(*"hosts create late --memory 64 --disk 1 --network vlan10 --start".split())
    if done.code == 0:
        assert port_of("late") == next_port
        row = port_rows()[next_port]
        assert (row["tag"], row["trunks"], row["vlan_mode"]) == (10, ["set", []], ["set", []])
    else:
        assert owner in (None, UUID)
        assert done.code == 4
        assert f"its port {next_port} has" in done.err
    ok("hosts", "delete", "--yes", "late", "--if-exists")
    vsctl("--if-exists", "del-port", next_port)


def test_r20_stale_row_with_the_right_tag_is_harmless(next_port: str) -> None:
    vsctl("add-port", "br0", next_port, "tag=10")
    create("late", "--start")
    assert port_rows()[next_port]["tag"] == 10
    ok("hosts", "delete", "--yes", "late")
    vsctl("--if-exists", "del-port", next_port)


def test_r20_stale_row_on_another_bridge(next_port: str) -> None:
    vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev")
    vsctl("add-port", "br1", next_port, "tag=10")
    done = run(*"hosts create late --memory 64 --disk 1 --network vlan10 --start".split())
    assert done.code != 0
    assert run("hosts", "show", "late").code == 3
    vsctl("del-br", "br1")


def test_r20_paused_host_is_not_resumed_on_a_wrong_vlan() -> None:
    create("late", "--start")
    call("virsh", "suspend", "late")
    call("ovs-vsctl", "set", "port", port_of("late"), "tag=99")
    assert run("hosts", "start", "late").code == 4
    assert state("late") == "paused"
    ok("hosts", "delete", "--yes", "late")


def test_r20_host_that_libvirtd_starts_after_a_power_cut() -> None:
    """The unit that runs before libvirtd removes the stale port and keeps a running host's port."""
    create("late", "--autostart")
    uuid = run("-o", "json", "hosts", "show", "late").json["id"]
    daemon("stop", "libvirtd")
    rmtree("/run/libvirt/qemu")  # it also records that hosts were autostarted
    vsctl("add-port", "br0", "vnet0", "tag=99", *ids("vnet0", uuid))
    call(sys.executable, "-m", "shctl.networks.stale_ports")
    daemon("start", "libvirtd")
    eventually(lambda: state("late") == "running")
    call(sys.executable, "-m", "shctl.networks.stale_ports")
    assert (port_of("late"), port_rows()["vnet0"]["tag"]) == ("vnet0", 10)
    ok("hosts", "delete", "--yes", "late")


def vsctl(*arguments: str) -> None:
    """Change only the database, as after a power cut."""
    call("ovs-vsctl", "--no-wait", *arguments)


def ids(port: str, owner: str | None) -> list[str]:
    return ["--", "set", "interface", port, f"external_ids:vm-id={owner}"] if owner else []


def test_r22_volumes_do_not_fit(tmp_path: Path) -> None:
    """The third of three volumes does not fit; the first two are removed."""
    call("mount", "-t", "tmpfs", "-o", "nr_inodes=3,size=1m", "small", str(tmp_path))
    call("virsh", "pool-create-as", "small", "dir", "--target", str(tmp_path))
    try:
        words = (
            "hosts create x --memory 64 --disk 1 --disk 1 --disk 1 --network vlan10 --pool small"
        )
        done = run("-o", "json", *words.split())
        assert (done.code, '"status": 507' in done.err) == (8, True)
        assert list(tmp_path.iterdir()) == []
    finally:
        call("virsh", "pool-destroy", "small")
        call("umount", str(tmp_path))
