"""Scoreboard R01 to R03 and R08: all or nothing, also after a restart of libvirtd.

A test that leaves something behind fails: tests/conftest.py compares before and after.
"""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.support import (
    VOLUMES,
    call,
    create,
    daemon,
    immutable,
    ok,
    port_of,
    port_rows,
    qemu_pid,
    run,
    state,
)

pytestmark = pytest.mark.usefixtures("vlan10")

CREATE = "hosts create x --memory 64 --disk 1 --disk 1 --network vlan10 --start".split()


# --- R01: create fails at each step ------------------------------------------------------------


def test_r01_define_fails() -> None:
    with immutable(Path("/etc/libvirt/qemu")):
        done = run(*CREATE)
    assert (done.code, done.out) == (1, "")
    assert "cannot define the host" in done.err


def test_r01_second_disk_fails() -> None:
    """The second volume's path is taken by a file that libvirt does not know."""
    other = VOLUMES / "x-sdb"
    other.write_text("precious")
    done = run(*CREATE)
    assert done.code == 4
    assert "volume 'x-sdb'" in done.err
    assert other.read_text() == "precious"
    other.unlink()


def test_r01_foreign_volume_fails_before_any_change() -> None:
    call("virsh", "vol-create-as", "shctl", "x-sda", "1M", "--format", "raw")
    done = run(*CREATE)
    assert done.code == 4
    assert "belongs to no host of this name" in done.err
    assert (VOLUMES / "x-sda").stat().st_size == 2**20
    call("virsh", "vol-delete", "x-sda", "shctl")


def test_r01_fetch_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        location = f"http://127.0.0.1:{free.getsockname()[1]}/"
    done = run(*CREATE, "--install", "--location", location)
    assert (done.code, done.out) == (7, "")
    assert f"cannot fetch {location}" in done.err


def test_r01_console_log_fails() -> None:
    with immutable(Path("/var/log/shctl/console")):
        done = run(*CREATE)
    assert done.code == 4
    assert "cannot prepare the console log" in done.err


def test_r01_start_fails() -> None:
    done = run(*CREATE, "--memory", "16000000", "--overcommit")
    assert (done.code, done.out) == (8, "")
    assert "cannot start host 'x'" in done.err
    assert "stop other hosts or give this one less memory" in done.err


def test_r01_reading_back_fails() -> None:
    """A row without an owner gives libvirt's new port the wrong VLANs."""
    create("probe", "--start")
    used = int(port_of("probe").removeprefix("vnet"))
    ok("hosts", "delete", "--yes", "probe")
    # libvirt numbers its ports consecutively.
    planted = f"vnet{used + 1}"
    call("ovs-vsctl", "--no-wait", "add-port", "br0", planted, "trunks=98,99")
    done = run(*CREATE)
    assert done.code == 4
    assert f"its port {planted}" in done.err
    assert run("hosts", "show", "x").code == 3
    call("ovs-vsctl", "--if-exists", "del-port", planted)


# --- R02: rollback fails -----------------------------------------------------------------------


def test_r02_undeletable_file_is_named_and_the_rest_rolled_back() -> None:
    """The start fails for lack of memory, and the first volume has become a mount point."""
    hook = Path("/etc/libvirt/hooks/qemu")
    hook.parent.mkdir(exist_ok=True)
    volume = VOLUMES / "x-sda"
    hook.write_text(f'#!/bin/sh\n[ "$2" = prepare ] && mount --bind {volume} {volume}\nexit 1\n')
    hook.chmod(0o755)
    restart("libvirtd")
    try:
        done = run(*CREATE)
        assert done.code == 1
        left = "left behind: volume x-sda in pool shctl, host x ('shctl doctor' lists it)"
        assert left in done.err
        assert not (VOLUMES / "x-sdb").exists()
        listed = run("-o", "json", "doctor").json
        assert [(row["kind"], row["name"]) for row in listed] == [("host", "x")]
        again = run(*CREATE)
        assert (again.code, "is incomplete" in again.err) == (4, True)
    finally:
        hook.unlink()
        subprocess.run(["umount", volume], check=False)
        restart("libvirtd")
    ok("doctor", "--fix")
    assert not volume.exists()
    assert run("hosts", "show", "x").code == 3


def restart(name: str) -> None:
    daemon("stop", name)
    daemon("start", name)


# --- R03: networks -----------------------------------------------------------------------------

NETWORK = "networks create net3 --bridge br0 --vlan 3".split()


def test_r03_define_fails() -> None:
    with immutable(Path("/etc/libvirt/qemu/networks")):
        done = run(*NETWORK)
    assert done.code == 1
    assert run("networks", "show", "net3").code == 3


def test_r03_autostart_fails() -> None:
    with immutable(Path("/etc/libvirt/qemu/networks/autostart")):
        done = run(*NETWORK)
    assert done.code == 1
    assert "cannot set autostart of network 'net3'" in done.err
    assert run("networks", "show", "net3").code == 3


def test_r03_start_fails() -> None:
    hook = Path("/etc/libvirt/hooks/network")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$2" != start ]\n')
    hook.chmod(0o755)
    restart("libvirtd")
    try:
        done = run(*NETWORK)
        assert done.code != 0
        assert "cannot start network 'net3'" in done.err
        assert run("networks", "show", "net3").code == 3
    finally:
        hook.unlink()
        restart("libvirtd")


# --- R08: libvirtd restarts --------------------------------------------------------------------


def test_r08_libvirtd_restarted_and_run_wiped() -> None:
    """As after a reboot of the machine: definitions still exist, networks are active."""
    create("x", "--start")
    ok("hosts", "stop", "x", "--force")
    daemon("stop", "libvirtd")
    call("sh", "-c", "rm -rf /run/libvirt/network /run/libvirt/qemu /run/libvirt/storage")
    daemon("start", "libvirtd")
    rows = {row["name"]: row for row in run("-o", "json", "networks", "list").json}
    assert rows["vlan10"]["state"] == "active"
    assert rows["vlan10"]["autostart"] == "yes"
    assert state("x") == "shut off"
    ok("hosts", "start", "x")
    assert port_rows()[port_of("x")]["tag"] == 10
    ok("hosts", "delete", "--yes", "x")


def test_r08_running_host_survives_a_restart_of_libvirtd() -> None:
    create("x", "--start")
    pid, port = qemu_pid("x"), port_of("x")
    restart("libvirtd")
    assert (state("x"), qemu_pid("x"), port_of("x")) == ("running", pid, port)
    ok("hosts", "delete", "--yes", "x")
    assert port not in port_rows()
