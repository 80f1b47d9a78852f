"""Every exit code of the hosts and networks commands, checked on real processes."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import call, create, daemon, ok, run

pytestmark = pytest.mark.usefixtures("vlan10")

CREATE = "hosts create x --memory 64 --disk 1 --network vlan10".split()


def status_of(*arguments: str) -> tuple[int, int]:
    """Return the exit code and the HTTP status of the error on stderr."""
    done = run("-o", "json", *arguments)
    assert done.out == ""
    problem = json.loads(done.err)
    assert problem["detail"]
    assert "\n" not in problem["detail"]
    return done.code, problem["status"]


def test_0_success_and_nothing_to_do() -> None:
    create("x")
    assert run(*CREATE, "--if-not-exists").code == 0
    assert run("hosts", "stop", "x").code == 0
    assert run("hosts", "delete", "--yes", "x").code == 0
    assert run("hosts", "delete", "--yes", "x", "--if-exists").code == 0


def test_1_unexpected() -> None:
    """QEMU fails to start: the disk is a directory."""
    create("x")
    disk = Path("/var/lib/shctl/volumes/x-sda")
    disk.unlink()
    disk.mkdir()
    try:
        assert status_of("hosts", "start", "x") == (1, 500)
    finally:
        disk.rmdir()
        ok("hosts", "delete", "--yes", "x")


@pytest.mark.parametrize(
    "line",
    ["hosts create X --memory 64 --disk 1 --network vlan10", "hosts create x", "frob",
     "hosts create x --memory 64 --disk 1 --network nowhere",
     "networks create x --bridge nowhere --vlan 3", "networks create x --bridge br0 --vlan 0"],
)  # fmt: skip
def test_2_wrong_input(line: str) -> None:
    assert status_of(*line.split()) == (2, 400)


@pytest.mark.parametrize(
    "line",
    ["hosts show", "hosts start", "hosts stop", "hosts reboot", "hosts delete --yes", "hosts adopt",
     "hosts log", "networks show", "networks delete --yes"],
)  # fmt: skip
def test_3_not_found(line: str) -> None:
    assert status_of(*line.split(), "nowhere") == (3, 404)


def test_4_conflict() -> None:
    create("x")
    assert status_of(*CREATE) == (4, 409)
    assert status_of("hosts", "reboot", "x") == (4, 409)
    assert status_of("networks", "delete", "--yes", "vlan10") == (4, 409)
    ok("hosts", "delete", "--yes", "x")


def test_5_timeout() -> None:
    create("x", "--start")
    assert status_of("hosts", "stop", "x", "--timeout", "0.1") == (5, 504)
    assert status_of("hosts", "wait", "x", "--for", "stopped", "--timeout", "0") == (5, 504)
    ok("hosts", "delete", "--yes", "x")


def test_6_wrong_socket() -> None:
    assert status_of("-c", "qemu:///system?socket=/nowhere", "hosts", "list") == (6, 503)


def test_6_libvirtd_killed() -> None:
    daemon("kill", "libvirtd")
    Path("/run/libvirt/libvirt-sock").unlink()
    try:
        assert status_of("hosts", "list") == (6, 503)
        assert status_of("networks", "list") == (6, 503)
    finally:
        daemon("start", "libvirtd")


@contextmanager
def frozen(pid_file: str) -> Iterator[None]:
    """Suspend a daemon: it accepts connections and never responds."""
    pid = int(Path(pid_file).read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_6_libvirtd_hangs() -> None:
    with frozen("/run/libvirtd.pid"):
        assert status_of("hosts", "list") == (6, 503)


def test_6_switch_down() -> None:
    daemon("stop", "ovsdb-server")
    try:
        assert status_of("networks", "create", "x", "--bridge=br0", "--vlan=3") == (6, 503)
    finally:
        daemon("start", "ovsdb-server")


def test_8_no_space(tmp_path: Path) -> None:
    """The file system has space for two more files, not for three."""
    call("mount", "-t", "tmpfs", "-o", "nr_inodes=3,size=1m", "small", str(tmp_path))
    call("virsh", "pool-create-as", "small", "dir", "--target", str(tmp_path))
    try:
        words = [*CREATE, "--disk", "1", "--disk", "1", "--pool", "small"]
        assert status_of(*words) == (8, 507)
        assert list(tmp_path.iterdir()) == []
        assert run("hosts", "show", "x").code == 3
    finally:
        call("virsh", "pool-destroy", "small")
        call("umount", str(tmp_path))
