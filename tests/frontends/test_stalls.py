"""Scoreboard R47: guests paused by a full pool, or suspended, through both frontends."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import installations
from tests.frontends.frontend import Frontend
from tests.guests import End, boot_sector, kernel, sleeper
from tests.installations import FROM_DISK, boots_from_disk, log_of, virsh
from tests.support import VOLUMES, call, connected, eventually

pytestmark = pytest.mark.hypervisor

TINY = Path("/run/tiny")
HOST = {"memory": 64, "disks": [1], "networks": ["vlan10"]}


@pytest.fixture
def tiny() -> Iterator[Path]:
    """Create a pool on a full file system; return the file that fills it."""
    TINY.mkdir()
    call("mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tiny", str(TINY))
    fill = TINY / "fill"
    fill.write_bytes(bytes(2**20))
    virsh("pool-define-as", "tiny", "dir", "--target", str(TINY))
    virsh("pool-start", "tiny")
    yield fill
    virsh("pool-destroy", "tiny")
    virsh("pool-undefine", "tiny")
    call("umount", "-l", str(TINY))
    TINY.rmdir()


def condition(frontend: Frontend, name: str) -> tuple[str, str | None]:
    shown = frontend.run("hosts show", name).data
    return shown["state"], shown["reason"]


def let_deadline_pass(name: str) -> None:
    stored = virsh("dumpxml", "--inactive", name)
    with connected() as connection:
        connection.defineXML(re.sub(r"until=['\"]\d+['\"]", "until='1'", stored))


@pytest.mark.parametrize("late", [False, True])
def test_r47_full_pool(frontend: Frontend, tiny: Path, late: bool) -> None:
    """With `late` the installation's deadline passes while its pool is full."""
    with installations.serving() as trees:
        writer = kernel(installations.SAY, End.RESET, installs=boot_sector(FROM_DISK))
        location = trees.add("writes", writer)
        body = {**HOST, "install": True, "location": location, "pool": "tiny"}
        assert frontend.run("hosts create", "full", **body).ok
    eventually(lambda: condition(frontend, "full") == ("paused", "I/O error"))
    names_it = f"no space left for disk sda ({TINY}/full-sda in pool 'tiny')"
    if late:
        let_deadline_pass("full")
        eventually(lambda: frontend.run("hosts show", "full").data["install"]["phase"] == "failed")
        reason = frontend.run("hosts show", "full").data["install"]["reason"]
        assert reason.startswith("deadline")
        assert names_it in reason
    else:
        answer = frontend.run("hosts wait", "full", **{"for": "installed", "timeout": 30})
        assert (answer.status, names_it in answer.detail) == (507, True)
    answer = frontend.run("hosts start", "full")
    assert (answer.status, names_it in answer.detail) == (507, True)
    (finding,) = frontend.run("doctor").data
    assert (finding["name"], names_it in finding["problem"]) == ("full", True)
    tiny.unlink()
    assert frontend.run("hosts start", "full").ok
    eventually(lambda: frontend.run("hosts show", "full").data["install"]["phase"] == "installed")
    assert frontend.run("hosts show", "full").data["install"]["reason"] is None
    eventually(lambda: boots_from_disk("full"))
    assert frontend.run("doctor").data == []
    assert frontend.run("hosts delete", "full").ok


def test_r47_suspended_guest(frontend: Frontend) -> None:
    assert frontend.run("hosts create", "nap", **HOST).ok
    with (VOLUMES / "nap-sda").open("r+b") as disk:
        disk.write(sleeper("Good night", "Good morning"))
    assert frontend.run("hosts start", "nap").ok
    eventually(lambda: frontend.run("hosts show", "nap").data["state"] == "pmsuspended")
    (row,) = [row for row in frontend.run("hosts list").data if row["name"] == "nap"]
    assert row["state"] == "pmsuspended"
    assert frontend.run("hosts wait", "nap", **{"for": "running", "timeout": 0}).status == 504
    for command, given in [("stop", {}), ("reboot", {}), ("reboot", {"force": True})]:
        answer = frontend.run(f"hosts {command}", "nap", **given)
        assert answer.status == 409
        assert "hosts start nap" in answer.detail or "PUT /hosts/nap/start" in answer.detail
    assert "morning" not in log_of("nap")
    assert frontend.run("hosts start", "nap").ok
    eventually(lambda: "Good morning" in log_of("nap"))
    assert frontend.run("hosts show", "nap").data["state"] == "running"
    assert frontend.run("hosts delete", "nap").ok


@pytest.mark.parametrize("timeout", [None, 20])
def test_r47_suspended_guest_is_powered_off(frontend: Frontend, timeout: int | None) -> None:
    assert frontend.run("hosts create", "nap", **HOST).ok
    with (VOLUMES / "nap-sda").open("r+b") as disk:
        disk.write(sleeper("Good night", "Good morning"))
    assert frontend.run("hosts start", "nap").ok
    eventually(lambda: frontend.run("hosts show", "nap").data["state"] == "pmsuspended")
    given = {"force": True} | ({"timeout": timeout} if timeout else {})
    assert frontend.run("hosts stop", "nap", **given).ok
    assert condition(frontend, "nap") == ("shut off", "destroyed")
    assert frontend.run("hosts delete", "nap").ok


def test_r47_paused_by_a_user(frontend: Frontend) -> None:
    assert frontend.run("hosts create", "still", **HOST, start=True).ok
    virsh("suspend", "still")
    assert condition(frontend, "still") == ("paused", "user")
    answer = frontend.run("hosts wait", "still", **{"for": "running", "timeout": 0})
    assert (answer.status, "paused (user)" in answer.detail) == (504, True)
    answer = frontend.run("hosts stop", "still")
    assert (answer.status, "paused (user)" in answer.detail) == (409, True)
    assert frontend.run("doctor").data == []
    assert frontend.run("hosts start", "still").ok
    assert condition(frontend, "still") == ("running", "unpaused")
    assert frontend.run("hosts delete", "still").ok
