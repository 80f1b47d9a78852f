"""Leftovers of tests on the hypervisor: find and remove them."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import libvirt

ROOT = Path(__file__).parents[1]
HANG = 60  # seconds after which a command counts as hung

# The cache and the lock files are permanent.
WATCHED = ["/etc/shctl", "/var/lib/shctl", "/var/log/shctl", "/var/lib/libvirt"]
# In the order in which they can be started.
DAEMONS = {
    "ovsdb-server": "/run/openvswitch/ovsdb-server.pid",
    "ovs-vswitchd": "/run/openvswitch/ovs-vswitchd.pid",
    "virtlogd": "/run/virtlogd.pid",
    "libvirtd": "/run/libvirtd.pid",
}
# Created once for the whole run; tests must not use these names otherwise.
KEPT = {("network", "vlan10")}

Thing = tuple[str, str]  # kind and name


def vsctl(*arguments: str) -> list[dict[str, Any]]:
    """Run ovs-vsctl; return a table's rows as dicts."""
    argv = ["ovs-vsctl", "--timeout=5", "--format=json", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=HANG, check=True)
    if not done.stdout.strip().startswith("{"):
        return []
    table = json.loads(done.stdout)
    return [dict(zip(table["headings"], row, strict=True)) for row in table["data"]]


def snapshot() -> set[Thing]:
    """Return everything that a test could leave behind."""
    with closing(_connect()) as connection:
        domains = {("domain", found.name()) for found in connection.listAllDomains()}
        networks = {("network", found.name()) for found in connection.listAllNetworks()}
        volumes = {("volume", volume.path()) for volume in _volumes(connection)}
    ports = {("port", row["name"]) for row in vsctl("--columns=name", "list", "Port")}
    links = {("link", link.name) for link in Path("/sys/class/net").iterdir()}
    files = {
        ("file", str(path)) for top in WATCHED for path in Path(top).rglob("*") if path.is_file()
    }
    return domains | networks | volumes | ports | links | files


def _connect() -> Any:
    libvirt.registerErrorHandler(lambda *_: None, None)
    return libvirt.open("qemu:///system")


def _volumes(connection: Any) -> Iterator[Any]:
    active = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
    for pool in connection.listAllStoragePools(active):
        yield from pool.listAllVolumes()


def remove(kind: str, name: str) -> None:
    if kind in ("domain", "network", "volume"):
        with closing(_connect()) as connection, suppress(libvirt.libvirtError):
            {"domain": _undefine, "network": _dissolve, "volume": _delete}[kind](connection, name)
    elif kind == "port":
        command = (
            "del-br" if name in {row["name"] for row in vsctl("list", "Bridge")} else "del-port"
        )
        vsctl("--if-exists", command, name)
    elif kind == "link":
        subprocess.run(["ip", "link", "delete", name], check=False, timeout=HANG)
    else:
        Path(name).unlink(missing_ok=True)


def _undefine(connection: Any, name: str) -> None:
    domain = connection.lookupByName(name)
    with suppress(libvirt.libvirtError):
        domain.destroy()
    flags = ("MANAGED_SAVE", "SNAPSHOTS_METADATA", "NVRAM", "CHECKPOINTS_METADATA")
    domain.undefineFlags(sum(getattr(libvirt, f"VIR_DOMAIN_UNDEFINE_{flag}") for flag in flags))


def _dissolve(connection: Any, name: str) -> None:
    network = connection.networkLookupByName(name)
    with suppress(libvirt.libvirtError):
        network.destroy()
    network.undefine()


def _delete(connection: Any, path: str) -> None:
    connection.storageVolLookupByPath(path).delete()


def wait_for_difference(before: set[Thing], seconds: float) -> set[Thing]:
    """Return the difference to `before`; wait some time for it to disappear."""
    deadline = time.monotonic() + seconds
    while difference := (snapshot() ^ before) - KEPT:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return difference


def restart_daemons() -> list[str]:
    """Start each daemon that does not run; return their names."""
    dead = [name for name, file in DAEMONS.items() if not _runs(Path(file))]
    for name in dead:
        argv = [str(ROOT / "tools" / "throwaway-daemon"), "start", name]
        subprocess.run(argv, check=True, timeout=HANG)
    return dead


def _runs(pid_file: Path) -> bool:
    return pid_file.exists() and Path("/proc", pid_file.read_text().strip(), "cwd").exists()
