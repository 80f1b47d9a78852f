"""Waiting survives a restart of libvirt, and fails at once if libvirt never responded."""

from collections.abc import Iterator

import pytest

from shctl.common.errors import NotFound, Unreachable
from shctl.hosts import waiting
from shctl.hypervisor.connection import Hypervisor
from tests.support import HANG, create, daemon, finish, ok, run, spawn

pytestmark = pytest.mark.usefixtures("vlan10")


@pytest.fixture
def away() -> Iterator[None]:
    daemon("kill", "libvirtd")
    yield
    daemon("start", "libvirtd")


def test_libvirt_that_never_answered(away: None) -> None:
    # run() allows less time than RESTART, which applies once libvirt has responded.
    assert waiting.RESTART >= HANG
    assert run("hosts", "wait", "web1", "--for", "running").code == 6


def test_libvirt_that_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "RESTART", 0.5)
    create("here")
    checks: list[str] = []

    def leave(_hypervisor: Hypervisor, name: str, _install: object) -> bool:
        if not checks:
            daemon("kill", "libvirtd")
        checks.append(name)
        return False

    monkeypatch.setitem(waiting._CONDITIONS, "running", leave)
    with pytest.raises(Unreachable):
        waiting.wait(Hypervisor("qemu:///system"), "here", "running", 30)
    daemon("start", "libvirtd")
    assert len(checks) == 1
    ok("hosts", "delete", "--yes", "here")


def test_host_that_appears_too_late() -> None:
    with pytest.raises(NotFound):
        waiting.wait(Hypervisor("qemu:///system"), "nobody", "running", 0)


@pytest.mark.parametrize("condition", ["running", "stopped"])
def test_wait_ends_when_another_process_changes_the_state(condition: str) -> None:
    create("other", *(["--start"] if condition == "stopped" else []))
    waiter = spawn("-o", "json", "hosts", "wait", "other", "--for", condition)
    ok("hosts", *(["stop", "other", "--force"] if condition == "stopped" else ["start", "other"]))
    done = finish(waiter)
    assert done.code == 0
    assert done.json["state"] == {"running": "running", "stopped": "shut off"}[condition]
    ok("hosts", "delete", "--yes", "other")
