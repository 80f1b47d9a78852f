"""Scoreboard R01 to R08: all or nothing, and nothing of anybody else's.

What a test leaves behind fails it: tests/conftest.py compares before and after.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import (
    VOLUMES,
    call,
    create,
    daemon,
    define,
    eventually,
    ok,
    port_of,
    port_rows,
    prepare,
    qemu_pid,
    run,
    state,
)

CREATE = "hosts create x --memory 64 --disk 1 --disk 1 --network vlan10 --start".split()


@pytest.fixture(scope="module", autouse=True)
def _rack() -> None:
    prepare()


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Let nobody, root included, change what is at a path."""
    call("mount", "--bind", str(path), str(path))
    call("mount", "-o", "remount,bind,ro", str(path))
    try:
        yield
    finally:
        call("umount", "-l", str(path))


# --- R01: create fails at each step ------------------------------------------------------------


def test_r01_define_fails() -> None:
    with immutable(Path("/etc/libvirt/qemu")):
        done = run(*CREATE)
    assert (done.code, done.out) == (1, "")
    assert "cannot define the host" in done.err


def test_r01_second_disk_fails() -> None:
    """A file that libvirt does not know of stands where the second volume is to be."""
    other = VOLUMES / "x-sdb"
    other.write_text("precious")
    done = run(*CREATE)
    assert done.code == 4
    assert "volume 'x-sdb'" in done.err
    assert other.read_text() == "precious"
    other.unlink()


def test_r01_volume_of_somebody_else_fails_before_anything_is_made() -> None:
    call("virsh", "vol-create-as", "shctl", "x-sda", "1M", "--format", "raw")
    done = run(*CREATE)
    assert done.code == 4
    assert "belongs to no host of this name" in done.err
    assert (VOLUMES / "x-sda").stat().st_size == 2**20
    call("virsh", "vol-delete", "x-sda", "shctl")


def test_r01_console_log_fails() -> None:
    with immutable(Path("/var/log/shctl/console")):
        done = run(*CREATE)
    assert done.code == 1
    assert "cannot make room for the console's log" in done.err


def test_r01_start_fails() -> None:
    done = run(*CREATE, "--memory", "16000000")
    assert (done.code, done.out) == (1, "")
    assert "cannot start host 'x'" in done.err


def test_r01_reading_back_fails() -> None:
    """A row without an owner makes libvirt's new port come up on another VLAN."""
    create("probe", "--start")
    used = int(port_of("probe").removeprefix("vnet"))
    ok("hosts", "delete", "probe")
    # libvirt counts its ports up.
    planted = f"vnet{used + 1}"
    call("ovs-vsctl", "--no-wait", "add-port", "br0", planted, "tag=99")
    done = run(*CREATE)
    assert done.code == 4
    assert f"its port {planted}" in done.err
    assert run("hosts", "show", "x").code == 3
    call("ovs-vsctl", "--if-exists", "del-port", planted)


# --- R02: undoing fails ------------------------------------------------------------------------


def test_r02_undeletable_file_is_named_and_the_rest_undone() -> None:
    """The start fails for want of memory, and the first volume has become a mount point."""
    hook = Path("/etc/libvirt/hooks/qemu")
    hook.parent.mkdir(exist_ok=True)
    volume = VOLUMES / "x-sda"
    hook.write_text(f'#!/bin/sh\n[ "$2" = prepare ] && mount --bind {volume} {volume}\nexit 1\n')
    hook.chmod(0o755)
    restart("libvirtd")
    try:
        done = run(*CREATE)
        assert done.code == 1
        assert "left behind: volume x-sda in pool shctl ('shctl doctor' lists it)" in done.err
        assert run("hosts", "show", "x").code == 3
        assert not (VOLUMES / "x-sdb").exists()
        listed = run("-o", "json", "doctor").json
        assert str(volume) in {finding["name"] for finding in listed}
    finally:
        hook.unlink()
        subprocess.run(["umount", volume], check=False)
        restart("libvirtd")
    ok("doctor", "--fix")
    assert not volume.exists()


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


# --- R05: delete in any state ------------------------------------------------------------------


def crash(name: str) -> None:
    os.kill(qemu_pid(name), 9)
    eventually(lambda: state(name) == "crashed")


def managed_save(name: str) -> None:
    call("virsh", "managedsave", name)
    assert call("virsh", "domstate", name).strip() == "shut off"


STATES = {
    "shut off": lambda _: None,
    "running": lambda name: ok("hosts", "start", name),
    "paused": lambda name: (ok("hosts", "start", name), call("virsh", "suspend", name)),
    "crashed": lambda name: (ok("hosts", "start", name), crash(name)),
    "managed save": lambda name: (ok("hosts", "start", name), managed_save(name)),
    "autostarted": lambda name: call("virsh", "autostart", name),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_r05_delete_in_every_state_and_twice(state: str, firmware: str) -> None:
    create("x", "--firmware", firmware)
    STATES[state]("x")
    assert json.loads(ok("-o", "json", "hosts", "delete", "x"))[0]["result"] == "deleted"
    assert run("hosts", "delete", "x").code == 3


def test_r05_delete_with_snapshots(tmp_path: Path) -> None:
    """Raw volumes hold none themselves: an overlay, which is not ours, takes what comes later."""
    overlay = tmp_path / "overlay"
    create("x")
    spec = f"sda,snapshot=external,file={overlay}"
    call("virsh", "snapshot-create-as", "x", "s1", "--disk-only", "--diskspec", spec)
    assert "s1" in call("virsh", "snapshot-list", "x")
    gone = json.loads(ok("-o", "json", "hosts", "delete", "x"))
    assert gone[0]["kept"] == [str(overlay)]
    assert overlay.exists()
    create("x")
    assert "s1" not in call("virsh", "snapshot-list", "x")
    ok("hosts", "delete", "x")


def test_r05_delete_when_the_disk_has_gone_already() -> None:
    create("x")
    (VOLUMES / "x-sda").unlink()
    ok("hosts", "delete", "x")


def test_r05_delete_when_the_disk_cannot_be_removed() -> None:
    """The host stays, so that the deletion can be done again."""
    create("x")
    with immutable(VOLUMES / "x-sda"):
        done = run("hosts", "delete", "x")
        assert done.code == 1
        assert f"{VOLUMES}/x-sda (" in done.err
        assert state("x") == "shut off"
    ok("hosts", "delete", "x")


# --- R06: not one foreign byte -----------------------------------------------------------------


def content(path: Path) -> bytes:
    return path.read_bytes()[:4096]


def test_r06_neighbour_with_a_longer_name() -> None:
    for name in ("a", "a.b", "a-sda"):
        create(name)
        (VOLUMES / f"{name}-sda").write_bytes(name.encode())
    ok("hosts", "delete", "a")
    assert content(VOLUMES / "a.b-sda") == b"a.b"
    assert content(VOLUMES / "a-sda-sda") == b"a-sda"
    ok("hosts", "delete", "a.b", "a-sda")


DISK = "<disk type='file' device='disk'><source file='{}'/><target dev='sdx' bus='scsi'/></disk>"
VOLUME = (
    "<disk type='volume' device='disk'><source pool='shctl' volume='{}'/>"
    "<target dev='sdx' bus='scsi'/></disk>"
)
OTHER = """<domain type='qemu'><name>other</name><memory>65536</memory>
<os><type arch='x86_64'>hvm</type></os><devices>{}</devices></domain>"""


@pytest.fixture
def _other() -> Iterator[None]:
    yield
    call("virsh", "undefine", "other")


@pytest.mark.usefixtures("_other")
@pytest.mark.parametrize(
    "disk", [DISK.format(VOLUMES / "x-sda"), VOLUME.format("x-sda")], ids=["path", "volume"]
)
def test_r06_disk_that_another_host_has(disk: str) -> None:
    create("x")
    define(OTHER.format(disk))
    (VOLUMES / "x-sda").write_bytes(b"shared")
    done = run("hosts", "delete", "x")
    assert done.code == 4
    assert "also used by other" in done.err
    assert content(VOLUMES / "x-sda") == b"shared"
    define_without_disk = OTHER.format("").replace("<name>", f"<uuid>{uuid('other')}</uuid><name>")
    define(define_without_disk)
    ok("hosts", "delete", "x")


def uuid(name: str) -> str:
    return call("virsh", "domuuid", name).strip()


def test_r06_disk_attached_by_hand_is_kept(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.img"
    foreign.write_bytes(b"foreign")
    create("x")
    call("virsh", "attach-disk", "x", str(foreign), "sdb", "--config", "--targetbus", "scsi")
    gone = json.loads(ok("-o", "json", "hosts", "delete", "x"))
    assert gone[0]["kept"] == [str(foreign)]
    assert foreign.read_bytes() == b"foreign"


def test_r06_volume_of_another_that_is_called_like_ours_is_kept() -> None:
    """The disk was exchanged by hand: what the metadata names is not what the host has."""
    create("x")
    create("y")
    call("virsh", "attach-disk", "x", str(VOLUMES / "y-sda"), "sdb", "--config", "--targetbus=scsi")
    assert run("hosts", "delete", "y").code == 4
    gone = json.loads(ok("-o", "json", "hosts", "delete", "x"))
    assert gone[0]["kept"] == [str(VOLUMES / "y-sda")]
    ok("hosts", "delete", "y")


# --- R08: a new day ----------------------------------------------------------------------------


def test_r08_libvirtd_restarted_and_run_wiped() -> None:
    """As after a reboot of the hypervisor: what was stored is there, networks are active."""
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
    ok("hosts", "delete", "x")


def test_r08_running_host_goes_on_while_libvirtd_restarts() -> None:
    create("x", "--start")
    pid, port = qemu_pid("x"), port_of("x")
    restart("libvirtd")
    assert (state("x"), qemu_pid("x"), port_of("x")) == ("running", pid, port)
    ok("hosts", "delete", "x")
    assert port not in port_rows()
