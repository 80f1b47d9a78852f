"""Scoreboard R52: another manager redefines a host during its installation."""

import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree

from shctl.hosts import redefinition
from tests.guests import End
from tests.installations import (
    SAY,
    Trees,
    begin,
    boots_from_disk,
    failure,
    install_of,
    log_of,
    one_line,
    starts,
    virsh,
    wait_until_off,
)
from tests.support import VOLUMES, eventually, ok, run, state

pytestmark = pytest.mark.usefixtures("vlan10")

NETWORK = "redefined"


def running(name: str) -> Any:
    return etree.fromstring(virsh("dumpxml", name))


def stored(name: str) -> Any:
    return etree.fromstring(virsh("dumpxml", "--inactive", name))


def define(root: Any) -> None:
    argv = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"]
    xml = etree.tostring(root)
    subprocess.run(argv, input=xml, check=True, timeout=60, capture_output=True)


def set_boot(root: Any, device: str) -> None:
    system = root.find("os")
    for old in root.findall("os/boot"):
        system.remove(old)
    etree.SubElement(system, "boot", dev=device)


def bootdev(name: str, device: str = "network") -> None:
    """Do as VirtualBMC does (virtualbmc/vbmc.py, set_boot_device): it uses the running XML."""
    root = running(name)
    set_boot(root, device)
    define(root)


def boot_order(name: str, device: str) -> None:
    root = stored(name)
    set_boot(root, device)
    define(root)


def device_order(name: str) -> None:
    root = stored(name)
    for old in root.findall("os/boot"):
        root.find("os").remove(old)
    for number, path in enumerate(("interface", "disk"), 1):
        etree.SubElement(root.find(f"devices/{path}"), "boot", order=str(number))
    define(root)


def no_reboot(name: str) -> None:
    root = stored(name)
    root.find("on_reboot").text = "destroy"
    define(root)


def no_metadata(name: str) -> None:
    root = stored(name)
    root.remove(root.find("metadata"))
    define(root)


CHANGES: dict[str, Callable[[str], None]] = {
    "bootdev network": bootdev,
    "bootdev hd": lambda name: bootdev(name, "hd"),
    "the running definition": lambda name: define(running(name)),
    "boot order network": lambda name: boot_order(name, "network"),
    "boot order cdrom": lambda name: boot_order(name, "cdrom"),
    "boot order by device": device_order,
    "on_reboot": no_reboot,
}


@pytest.mark.parametrize("change", CHANGES)
def test_r52_redefined_during_its_installation(name: str, change: str, trees: Trees) -> None:
    begin(name, trees.of(End.RESET, after=1))
    before = stored(name)
    CHANGES[change](name)
    lines = [line for line in ok("doctor").splitlines() if name in line]
    assert any("redefined the host during its installation" in line for line in lines)
    reason = failure(name)
    assert "another program redefined the host during its installation" in reason
    assert (state(name), starts(name), boots_from_disk(name)) == ("shut off", 1, 0)
    assert name in ok("doctor")
    # After a correction, it starts from its disk.
    define(before)
    ok("hosts", "start", name)
    eventually(lambda: boots_from_disk(name))
    assert log_of(name).count(SAY) == 1


@pytest.mark.parametrize("change", ["bootdev network", "the running definition"])
def test_r52_start_does_not_boot_the_installer_again(name: str, change: str, trees: Trees) -> None:
    begin(name, trees.of(End.HALT))
    CHANGES[change](name)
    ok("hosts", "stop", name, "--force")
    for _ in range(2):
        done = run("hosts", "start", name)
        assert (done.code, one_line(done)) == (4, True)
        assert "would boot its installer again" in done.err
    assert starts(name) == 1


def test_r52_redefined_with_the_stored_xml(name: str, trees: Trees) -> None:
    """A change that does not affect booting is not a failure."""
    begin(name, trees.of(End.RESET, after=1))
    root = stored(name)
    root.find("vcpu").text = "2"
    define(root)
    ok("hosts", "wait", name, "--for", "installed")
    eventually(lambda: boots_from_disk(name))
    assert install_of(name)["reason"] is None


@pytest.mark.parametrize("noticed", [True, False])
def test_r52_metadata_lost(name: str, noticed: bool, trees: Trees) -> None:
    begin(name, trees.of(End.HALT))
    no_metadata(name)
    assert name in ok("doctor")
    if noticed:
        assert "has lost shctl's metadata" in failure(name)
        # Now the owner of the disks is known again.
        ok("hosts", "stop", name, "--force")
        assert install_of(name)["phase"] == "failed"
        ok("hosts", "delete", name, "--yes")
        assert not (VOLUMES / f"{name}-sda").exists()
        return
    # Nobody checked in time: nothing says that it is installed.
    virsh("destroy", name)
    assert install_of(name) is None
    assert run("hosts", "wait", name, "--for", "installed").code == 4
    virsh("undefine", name)
    (VOLUMES / f"{name}-sda").unlink()
    virsh("pool-refresh", "shctl")
    ok("doctor", "--fix")


def test_r52_redefined_with_xml_from_its_creation(name: str, trees: Trees) -> None:
    """XML read during the creation says that the creation was interrupted."""
    begin(name, trees.of(End.HALT))
    root = stored(name)
    root.find("metadata/{urn:shctl:host:1}host").set("complete", "no")
    define(root)
    ok("doctor", "--fix")
    assert state(name) == "running"
    assert "another program redefined the host" in failure(name)
    assert "complete" not in stored(name).find("metadata/{urn:shctl:host:1}host").attrib


def test_r52_undefined(name: str, trees: Trees) -> None:
    begin(name, trees.of(End.HALT))
    virsh("undefine", name)
    assert name in ok("doctor")
    assert "another program undefined the host" in failure(name)
    assert state(name) == "running"
    assert name in ok("doctor")
    ok("hosts", "delete", name, "--yes")
    assert not (VOLUMES / f"{name}-sda").exists()


def test_r52_also_started_by_the_other_manager(name: str, trees: Trees) -> None:
    """shctl cannot prevent the second run of the installer: it reports it and prevents a third."""
    begin(name, trees.of(End.RESET))
    root = running(name)
    wait_until_off(name)
    define(root)
    virsh("start", name)
    assert "another program redefined" in failure(name)
    wait_until_off(name)
    assert install_of(name)["phase"] == "failed"
    assert starts(name) == 2
    assert run("hosts", "start", name).code == 4


def test_r52_redefined_in_the_switch_to_disk(name: str, trees: Trees) -> None:
    """The first start failed; the next one uses the definition stored meanwhile."""
    ok("networks", "create", NETWORK, "--bridge", "br0", "--vlan", "30")
    words = f"hosts create {name} --memory 64 --disk 1 --network {NETWORK} --install --location"
    ok(*words.split(), trees.of(End.RESET))
    root = running(name)
    wait_until_off(name)
    virsh("net-destroy", NETWORK)
    assert run("hosts", "wait", name, "--for", "installed").code != 0
    assert "does not start" in install_of(name)["reason"]
    data = stored(name).find("metadata")
    root.replace(root.find("metadata"), data)
    define(root)
    virsh("net-start", NETWORK)
    virsh("start", name)
    assert "another program redefined" in failure(name)
    wait_until_off(name)
    assert starts(name) == 2  # the second one was virsh's
    ok("hosts", "delete", name, "--yes")
    ok("networks", "delete", NETWORK, "--yes")


@pytest.mark.parametrize("name", ["..", "with\ttab", "n" * 300])
def test_r52_host_of_any_name_may_have_a_kernel(name: str) -> None:
    """No host of shctl has such a name."""
    host: Any = SimpleNamespace(name=name)
    redefinition.check(host, "<domain><os><kernel>/boot/vmlinuz</kernel></os></domain>")
