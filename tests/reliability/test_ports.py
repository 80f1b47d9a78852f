"""Scoreboard R41: ports of other owners are kept, with any name and any ids."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import (
    SHCTL,
    call,
    create,
    daemon,
    ok,
    port_of,
    port_rows,
    run,
    state,
)
from tests.systemd_unit import as_service

pytestmark = pytest.mark.usefixtures("vlan10")

UNKNOWN = "11111111-2222-3333-4444-555555555555"
REMOVE_STALE = [sys.executable, "-m", "shctl.networks.stale_ports"]
CREATE = "hosts create late --memory 64 --disk 1 --network vlan10 --start".split()


@pytest.fixture
def off() -> Iterator[str]:
    """Return the UUID of an inactive host, the vm-id of ports that are not its own."""
    create("off")
    yield str(run("-o", "json", "hosts", "show", "off").json["id"])
    ok("hosts", "delete", "--yes", "off")


@pytest.fixture
def guest() -> Iterator[str]:
    """Create a network namespace; return its name."""
    call("ip", "netns", "add", "guest")
    yield "guest"
    call("ip", "netns", "delete", "guest")


def plant(port: str, uuid: str, *columns: str, wait: bool = False) -> None:
    """Add a port with the ids that libvirt writes."""
    words = [f"vm-id={uuid}", f"iface-id={uuid}", "iface-status=active"]
    ids = [f"external_ids:{word}" for word in [*words, 'attached-mac="52:54:00:aa:bb:cc"']]
    early = [] if wait else ["--no-wait"]
    call("ovs-vsctl", *early, "add-port", "br0", port, "tag=77", "--", "set", "Interface", port,
         *columns, *ids)  # fmt: skip


def move(device: str, namespace: str) -> None:
    call("ip", "link", "set", device, "netns", namespace)


def plant_others(uuid: str, guest: str) -> set[str]:
    """Add a port for each kind of owner, with a host's ids; return their names."""
    # As with OVN and container engines: internal, in the guest's namespace.
    plant("ovn0", uuid, "type=internal", wait=True)
    move("ovn0", guest)
    # A veth pair with one end in the container, or with the switch's end moved away.
    for name in ("veth0", "veth1"):
        call("ip", "link", "add", name, "type", "veth", "peer", "name", f"peer-{name}")
        move(f"peer-{name}", guest)
        plant(name, uuid, wait=True)
    move("veth1", guest)
    # No device: QEMU or DPDK has the other end.
    plant("vhu0", uuid, "type=dpdkvhostuserclient")
    plant("vhu1", uuid, "type=dpdkvhostuser")
    plant("dpdk0", uuid, "type=dpdk", "options:dpdk-devargs=0000:01:00.0")
    plant("tunnel0", uuid, "type=vxlan", "options:remote_ip=192.0.2.1")
    plant("patch0", uuid, "type=patch", "options:peer=patch1")
    return {"ovn0", "veth0", "veth1", "vhu0", "vhu1", "dpdk0", "tunnel0", "patch0"}


def plant_unknown() -> set[str]:
    """Add ports of hosts that libvirt does not know; return their names."""
    names = {"stray0", "vnet900"}
    for name in names:
        plant(name, UNKNOWN)
    plant("ovn1", "not-a-uuid")
    return names | {"ovn1"}


def remove(ports: set[str]) -> None:
    for port in ports:
        call("ovs-vsctl", "--no-wait", "--if-exists", "del-port", port)


def test_r41_ports_of_others_are_kept(off: str, guest: str) -> None:
    """A stale row is removed each time, the others are kept."""
    others = plant_others(off, guest) | plant_unknown()
    try:
        for command in (
            [*SHCTL, "hosts", "start", "off"],
            [*SHCTL, "doctor", "--fix"],
            REMOVE_STALE,
        ):
            plant("vnet901", off)
            call(*command)
            assert set(port_rows()) >= others, command
            assert "vnet901" not in port_rows(), command
            ok("hosts", "stop", "off", "--force")
        assert set(port_rows()) >= others
        findings = run("-o", "json", "doctor").json
        assert [(row["kind"], row["name"]) for row in findings] == [("port", "vnet900")]
    finally:
        remove(others)


def test_r41_boot_without_libvirtd(off: str, guest: str) -> None:
    """The hosts and their states are read from libvirt's files; `runs` is running."""
    create("runs", "--start")
    running = str(run("-o", "json", "hosts", "show", "runs").json["id"])
    others = plant_others(off, guest) | plant_unknown()
    daemon("stop", "libvirtd")
    try:
        plant("vnet901", off)
        plant("vnet902", running)
        call(*REMOVE_STALE)
        assert set(port_rows()) >= others | {"vnet902"}
        assert "vnet901" not in port_rows()
    finally:
        remove(others | {"vnet902"})
        daemon("start", "libvirtd")
    assert state("runs") == "running"
    ok("hosts", "delete", "--yes", "runs")


def test_r41_service_keeps_ports_whose_device_it_cannot_see(off: str) -> None:
    """The unit may not enter namespaces; if none are mounted, it can read all devices."""
    plant("vnet901", off)
    call("ip", "netns", "add", "closed")
    try:
        call(*as_service(*SHCTL, "doctor", "--fix"))
        call(*as_service(*REMOVE_STALE))
        assert "vnet901" in port_rows()
    finally:
        call("ip", "netns", "delete", "closed")
    call(*as_service(*SHCTL, "hosts", "start", "off"))
    assert "vnet901" not in port_rows()


@pytest.fixture
def next_port() -> str:
    """Return the name that libvirt gives its next port: the highest number plus one."""
    create("probe", "--start")
    used = int(port_of("probe").removeprefix("vnet"))
    ok("hosts", "delete", "--yes", "probe")
    return f"vnet{used + 1}"


@pytest.mark.parametrize("uuid", ["of a host that is off", UNKNOWN])
def test_r41_port_with_libvirts_next_name(uuid: str, off: str, guest: str, next_port: str) -> None:
    """libvirt would reuse the port, and remove it when the host stops."""
    plant(next_port, UNKNOWN if uuid == UNKNOWN else off, "type=internal", wait=True)
    move(next_port, guest)
    try:
        done = run(*CREATE)
        assert (done.code, f"might reuse port {next_port}" in done.err) == (4, True), done
        assert run("hosts", "show", "late").code == 3
        assert port_rows()[next_port]["tag"] == 77
        assert next_port in call("ip", "-n", guest, "-br", "link")
    finally:
        remove({next_port})


def test_r41_port_named_in_a_hosts_xml(guest: str) -> None:
    create("late")
    xml = call("virsh", "dumpxml", "--inactive", "late")
    network = "<source network='vlan10'/>"
    file = Path("/run/late.xml")
    file.write_text(xml.replace(network, f"{network}<target dev='web0'/>"))
    call("virsh", "define", str(file))
    file.unlink()
    plant("web0", UNKNOWN, "type=internal", wait=True)
    try:
        assert run("hosts", "start", "late").code == 4
        move("web0", guest)
        done = run("hosts", "start", "late")
        assert (done.code, "might reuse port web0" in done.err) == (4, True), done
        assert port_rows()["web0"]["tag"] == 77
    finally:
        remove({"web0"})
    ok("hosts", "start", "late")
    assert (port_of("late"), port_rows()["web0"]["tag"]) == ("web0", 10)
    ok("hosts", "delete", "--yes", "late")


BOUND = "ip link add {0} type bridge; touch {1}; mount --bind /proc/self/ns/net {1}"
THREAD = """
import ctypes, subprocess, threading
def live():
    assert ctypes.CDLL(None).unshare(0x40000000) == 0
    subprocess.run(["ip", "link", "add", "hidden1", "type", "bridge"], check=True)
    print(flush=True)
    input()
threading.Thread(target=live).start()
"""
OPEN = """
import subprocess
command = "ip link add hidden2 type bridge; echo; read line"
first = subprocess.Popen(["unshare", "-n", "sh", "-c", command], stdin=-1, stdout=-1)
first.stdout.readline()
namespace = open(f"/proc/{first.pid}/ns/net")
first.communicate(b"")
print(flush=True)
input()
"""


def test_r41_namespaces_without_a_process_or_a_name(off: str, tmp_path: Path) -> None:
    """A namespace may be mounted anywhere, belong to one thread, or have only a descriptor."""
    mounted = tmp_path / "name space"
    call("unshare", "-n", "sh", "-ec", BOUND.format("hidden0", f"'{mounted}'"))
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for script in (THREAD, OPEN)
    ]
    others = {"hidden0", "hidden1", "hidden2"}
    try:
        for holder in holders:
            assert holder.stdout
            assert holder.stdout.readline() == b"\n"
        for name in (*others, "vnet901"):
            plant(name, off)
        ok("hosts", "start", "off")
        assert set(port_rows()) >= others
        assert "vnet901" not in port_rows()
        run("doctor", "--fix")
        call(*REMOVE_STALE)
        assert set(port_rows()) >= others
    finally:
        for holder in holders:
            holder.communicate(b"\n")
        call("umount", str(mounted))
        remove(others)
