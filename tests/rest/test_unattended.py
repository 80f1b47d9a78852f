"""R24 to R28 in the server: installations complete without further requests."""

from pathlib import Path

import pytest

from tests import installations
from tests.guests import End, boot_sector, kernel
from tests.installations import FROM_DISK, Trees
from tests.rest_server import Client, serving
from tests.support import eventually

pytestmark = pytest.mark.usefixtures("vlan10")


def installer(trees: Trees, end: End, *, after: float = 0) -> str:
    """Serve an installer that writes a boot sector, waits and ends; return its location."""
    name = f"writes-{end.name}-{after}".lower()
    sector = boot_sector(FROM_DISK)
    return trees.add(name, kernel(installations.SAY, end, after=after, installs=sector))


def begin(client: Client, location: str, **more: object) -> None:
    body = {"memory": 64, "disks": [1], "networks": ["vlan10"], "install": True}
    client.ok("POST", "/hosts/web1", {**body, "location": location, **more})


def stored_phase() -> str:
    """Return the phase that libvirt stores; a shctl command would advance the installation."""
    xml = installations.virsh("dumpxml", "--inactive", "web1")
    return next(p for p in ("finishing", "installing", "installed", "failed") if f'"{p}"' in xml)


def finishes(trees: Trees, directory: Path, end: End) -> None:
    """Install a host, and only watch the domain until it runs from its disk."""
    with serving(directory) as running:
        begin(running.client, installer(trees, end))
        eventually(lambda: installations.boots_from_disk("web1") == 1)
        eventually(lambda: stored_phase() == "installed")
        running.client.ok("DELETE", "/hosts/web1")


def test_r24_server_starts_hosts_whose_installer_reboots(trees: Trees, tmp_path: Path) -> None:
    finishes(trees, tmp_path, End.RESET)


def test_r25_server_starts_hosts_whose_installer_powers_off(trees: Trees, tmp_path: Path) -> None:
    finishes(trees, tmp_path, End.POWER_OFF)


def test_a_host_that_is_recreated_within_a_second(trees: Trees, tmp_path: Path) -> None:
    """The end of the earlier host's QEMU is not taken for that of the installer."""
    with serving(tmp_path) as running:
        for _ in range(2):
            begin(running.client, installer(trees, End.POWER_OFF, after=0.2))
            wait = "/hosts/web1/wait?for=installed&timeout=30"
            assert running.client.ok("GET", wait)["install"]["phase"] == "installed"
            running.client.ok("DELETE", "/hosts/web1")


def test_r26_server_ends_what_takes_too_long(trees: Trees, tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        begin(running.client, installer(trees, End.HALT), install_timeout=1)
        eventually(lambda: stored_phase() == "failed")
        shown = running.client.ok("GET", "/hosts/web1")
        assert (shown["state"], "deadline" in shown["install"]["reason"]) == ("running", True)
        text = running.client.ask("GET", "/metrics").body.decode()
        assert 'shctl_installs{outcome="failed"} 1.0' in text
        running.client.ok("DELETE", "/hosts/web1")


def test_r28_server_killed_during_the_installation(trees: Trees, tmp_path: Path) -> None:
    """The next server finishes what the killed one began."""
    with serving(tmp_path) as first:
        begin(first.client, installer(trees, End.POWER_OFF, after=1))
        first.process.kill()
        first.process.wait()
    assert stored_phase() == "installing"
    installations.wait_until_off("web1")
    with serving(tmp_path) as second:
        eventually(lambda: installations.boots_from_disk("web1") == 1)
        eventually(lambda: stored_phase() == "installed")
        second.client.ok("DELETE", "/hosts/web1")


def test_waiting_for_an_installation(trees: Trees, tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        begin(running.client, installer(trees, End.POWER_OFF, after=0.5))
        shown = running.client.ok("GET", "/hosts/web1/wait?for=installed&timeout=30")
        assert shown["install"]["phase"] == "installed"
        running.client.ok("DELETE", "/hosts/web1")
