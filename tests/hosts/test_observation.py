"""What is seen of hosts while a command waits for them."""

import pytest

from shctl.common.observation import Observation
from shctl.hosts.observation import Observer
from shctl.hypervisor.connection import Hypervisor
from tests.guests import End, boot_sector, kernel
from tests.installations import FROM_DISK, Trees, begin, delete
from tests.support import URI, call, create, daemon, eventually

pytestmark = pytest.mark.usefixtures("vlan10")
STEP = "Configuring apt"  # as debian-installer says


def observe(name: str, before: str | None = None) -> Observation:
    [seen] = Observer(Hypervisor(URI), [name, name], before)()
    return seen


def test_host_that_does_not_exist() -> None:
    assert observe("nobody") == Observation("nobody", "not defined", exists=False)
    assert observe("nobody", "creating") == Observation("nobody", "creating", exists=False)


def test_host_that_is_being_created() -> None:
    create("seen")
    mark = "<host xmlns='urn:shctl:host:1' created='2026-01-02T03:04:05Z' complete='no'/>"
    argv = ["virsh", "metadata", "seen", "--uri", "urn:shctl:host:1", "--key", "shctl"]
    whole = call(*argv).strip()
    call(*argv, "--set", mark)
    assert observe("seen") == Observation("seen", "incomplete")
    assert observe("seen", "creating") == Observation("seen", "creating")
    call(*argv, "--set", whole)
    delete("seen")


def test_installation(trees: Trees) -> None:
    image = kernel(f"\r\n{STEP}", End.RESET, after=30, installs=boot_sector(FROM_DISK))
    begin("seen", trees.add("seen", image))
    seen = eventually(lambda: (found := observe("seen")).step and found)
    assert (seen.state, seen.phase, seen.step, seen.line) == ("running", "installing", STEP, STEP)
    assert 7000 < seen.left <= 7200
    # Then the log is that of an earlier time.
    call("virsh", "destroy", "seen")
    seen = observe("seen")
    assert (seen.state, seen.step, seen.line, seen.silence) == ("shut off", None, "", None)
    delete("seen")


def test_libvirt_that_is_away() -> None:
    create("seen")
    daemon("kill", "libvirtd")
    assert observe("seen").state == "no answer from libvirt"
    daemon("start", "libvirtd")
    assert observe("seen").state == "shut off"
    delete("seen")
