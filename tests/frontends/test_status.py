"""`status` and GET /status."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shctl import __version__
from tests.frontends.frontend import Frontend
from tests.installations import virsh
from tests.support import call, connected, create, daemon, ok, qemu_pid, show, stopped

pytestmark = pytest.mark.hypervisor

GIB = 2**30
SMALL = Path("/run/small")


def status(frontend: Frontend) -> dict[str, Any]:
    answer = frontend.run("status")
    assert answer.ok, answer
    data: dict[str, Any] = answer.data
    return data


@pytest.fixture
def web1() -> Iterator[str]:
    """Create a host with two processors that runs."""
    create("web1", "--cpus", "2", "--start")
    yield "web1"
    ok("hosts", "delete", "--yes", "web1")


def test_a_hypervisor_with_hosts(frontend: Frontend, web1: str) -> None:
    create("web2")
    found = status(frontend)
    assert list(found) == [
        "hypervisor", "memory", "cpus", "pools", "hosts", "vlans", "versions", "problems",
    ]  # fmt: skip
    assert found["problems"] == []
    assert found["hypervisor"] == {
        "name": platform.node(), "uri": "qemu:///system", "driver": "QEMU",
    }  # fmt: skip
    assert found["hosts"] == [
        {"state": "running", "count": 1}, {"state": "shut off", "count": 1},
    ]  # fmt: skip
    ok("hosts", "delete", "--yes", "web2")


def test_memory_and_processors(frontend: Frontend, web1: str) -> None:
    found = status(frontend)
    memory, cpus = found["memory"], found["cpus"]
    assert memory["total"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    assert (memory["used"], memory["free"]) == (64, memory["total"] - 64)
    assert 0 < memory["available"] < memory["total"]
    assert cpus["total"] == os.cpu_count()
    assert (cpus["used"], cpus["free"]) == (2, max(0, cpus["total"] - 2))
    ok("hosts", "stop", web1, "--force")
    found = status(frontend)
    assert (found["memory"]["used"], found["cpus"]["used"]) == (0, 0)
    assert found["memory"]["free"] == found["memory"]["total"]


def test_free_memory_is_what_a_new_host_may_have(frontend: Frontend, web1: str) -> None:
    free = status(frontend)["memory"]["free"]
    given = {"disks": [1], "networks": ["vlan10"], "start": True, "dry_run": True}
    assert frontend.run("hosts create", "web2", memory=free, **given).ok
    assert frontend.run("hosts create", "web2", memory=free + 1, **given).status == 507


@pytest.fixture
def small() -> Iterator[Path]:
    """Create a pool on a file system of 8 MiB."""
    SMALL.mkdir()
    call("mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "small", str(SMALL))
    virsh("pool-define-as", "small", "dir", "--target", str(SMALL))
    virsh("pool-start", "small")
    yield SMALL
    virsh("pool-destroy", "small")
    virsh("pool-undefine", "small")
    call("umount", "-l", str(SMALL))
    SMALL.rmdir()


def pool(frontend: Frontend, name: str) -> dict[str, Any]:
    (found,) = [row for row in status(frontend)["pools"] if row["name"] == name]
    return dict(found)


def test_pools_have_the_current_numbers_of_their_file_system(
    frontend: Frontend, small: Path
) -> None:
    """libvirt's own are those of the last refresh, before the file grew."""
    row = pool(frontend, "small")
    assert (row["state"], row["capacity"], row["allocation"]) == ("active", 8 / 1024, 0)
    (small / "grown").write_bytes(bytes(2**22))
    row = pool(frontend, "small")
    assert (row["allocation"], row["available"]) == (4 / 1024, 4 / 1024)
    default = os.statvfs("/var/lib/shctl/volumes")
    assert pool(frontend, "shctl")["capacity"] == default.f_blocks * default.f_frsize / GIB


def test_an_inactive_pool_has_no_sizes(frontend: Frontend, small: Path) -> None:
    virsh("pool-destroy", "small")
    row = pool(frontend, "small")
    virsh("pool-start", "small")
    assert row == {
        "name": "small", "state": "inactive", "capacity": None, "allocation": None,
        "available": None,
    }  # fmt: skip


def test_a_pool_that_cannot_be_measured(frontend: Frontend, small: Path) -> None:
    call("umount", "-l", str(small))
    small.rmdir()
    found = status(frontend)
    small.mkdir()
    call("mount", "-t", "tmpfs", "small", str(small))
    assert [row["capacity"] for row in found["pools"] if row["name"] == "small"] == [None]
    (problem,) = found["problems"]
    assert problem["part"] == "pools.small"
    assert problem["reason"] == (
        "cannot read the file system of pool 'small': No such file or directory"
    )
    assert found["memory"]["total"] > 0


def test_vlans(frontend: Frontend) -> None:
    """Networks count when they are inactive too, and ports without a network."""
    before = status(frontend)["vlans"]
    assert {"tag": 10, "bridge": "br0", "networks": ["vlan10"]} in before
    ok(*"networks create trunk --bridge br0 --vlan 30 --trunk 10".split())
    virsh("net-destroy", "trunk")
    call("ovs-vsctl", "add-port", "br0", "odd", "tag=99", "--", "set", "Interface", "odd",
         "type=internal")  # fmt: skip
    after = status(frontend)["vlans"]
    call("ovs-vsctl", "del-port", "odd")
    ok("networks", "delete", "--yes", "trunk")
    assert [row for row in after if row not in before] == [
        {"tag": 10, "bridge": "br0", "networks": ["trunk", "vlan10"]},
        {"tag": 30, "bridge": "br0", "networks": ["trunk"]},
        {"tag": 99, "bridge": "br0", "networks": []},
    ]


def test_versions(frontend: Frontend) -> None:
    found = status(frontend)["versions"]
    with connected() as connection:
        numbers = connection.getLibVersion(), connection.getVersion()
    daemon_version, qemu = (f"{n // 1_000_000}.{n // 1000 % 1000}.{n % 1000}" for n in numbers)
    assert found == {
        "shctl": __version__, "libvirt": daemon_version, "libvirtd": daemon_version, "qemu": qemu,
        "openvswitch": call("ovs-vsctl", "--version").splitlines()[0].split()[-1],
        "python": platform.python_version(), "kernel": platform.release(),
    }  # fmt: skip


def test_without_open_vswitch(frontend: Frontend) -> None:
    daemon("stop", "ovsdb-server")
    try:
        found = status(frontend)
    finally:
        daemon("start", "ovsdb-server")
    assert [row["part"] for row in found["problems"]] == ["vlans", "versions.openvswitch"]
    assert all("cannot reach Open vSwitch" in row["reason"] for row in found["problems"])
    assert found["versions"]["openvswitch"] is None
    assert {"tag": 10, "bridge": "br0", "networks": ["vlan10"]} in found["vlans"]
    assert found["memory"]["total"] > 0


def test_without_libvirt(frontend: Frontend) -> None:
    daemon("stop", "libvirtd")
    try:
        assert frontend.run("status").status == 503
    finally:
        daemon("start", "libvirtd")


def test_a_hung_qemu_delays_nothing(frontend: Frontend, web1: str) -> None:
    """Nothing asks it, so that the libvirtd's job for it stays free."""
    with stopped(qemu_pid(web1)):
        found = status(frontend)
    assert (found["memory"]["used"], found["cpus"]["used"]) == (64, 2)
    assert found["problems"] == []
    assert show(web1)["state"] == "running"
