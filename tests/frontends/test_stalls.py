"""Scoreboard R47: guests that stand still, on a full disk or asleep, whichever face is asked."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import installations
from tests.frontends.frontend import Face
from tests.guests import End, boot_sector, kernel, sleeper
from tests.installations import FROM_DISK, boots_from_disk, log_of, virsh
from tests.support import VOLUMES, call, connected, eventually

TINY = Path("/run/tiny")
HOST = {"memory": 64, "disks": [1], "networks": ["vlan10"]}


@pytest.fixture
def tiny() -> Iterator[Path]:
    """Make a pool on a file system that is full; return the file that fills it."""
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


def condition(face: Face, name: str) -> tuple[str, str | None]:
    shown = face.run("hosts show", name).data
    return shown["state"], shown["reason"]


def let_deadline_pass(name: str) -> None:
    stored = virsh("dumpxml", "--inactive", name)
    with connected() as connection:
        connection.defineXML(re.sub(r"until=['\"]\d+['\"]", "until='1'", stored))


@pytest.mark.parametrize("late", [False, True])
def test_r47_full_pool(face: Face, tiny: Path, late: bool) -> None:
    """With `late` the installation's deadline passes while its pool is full."""
    with installations.serving() as trees:
        writer = kernel(installations.SAY, End.RESET, installs=boot_sector(FROM_DISK))
        location = trees.add("writes", writer)
        wanted = {**HOST, "install": True, "location": location, "pool": "tiny"}
        assert face.run("hosts create", "full", **wanted).ok
    eventually(lambda: condition(face, "full") == ("paused", "I/O error"))
    names_it = f"no space left for disk sda ({TINY}/full-sda in pool 'tiny')"
    if late:
        let_deadline_pass("full")
        eventually(lambda: face.run("hosts show", "full").data["install"]["phase"] == "failed")
        reason = face.run("hosts show", "full").data["install"]["reason"]
        assert reason.startswith("deadline")
        assert names_it in reason
    else:
        answer = face.run("hosts wait", "full", **{"for": "installed", "timeout": 30})
        assert (answer.status, names_it in answer.detail) == (507, True)
    answer = face.run("hosts start", "full")
    assert (answer.status, names_it in answer.detail) == (507, True)
    (finding,) = face.run("doctor").data
    assert (finding["name"], names_it in finding["problem"]) == ("full", True)
    tiny.unlink()
    assert face.run("hosts start", "full").ok
    eventually(lambda: face.run("hosts show", "full").data["install"]["phase"] == "installed")
    assert face.run("hosts show", "full").data["install"]["reason"] is None
    eventually(lambda: boots_from_disk("full"))
    assert face.run("doctor").data == []
    assert face.run("hosts delete", "full").ok


def test_r47_sleeping_guest(face: Face) -> None:
    assert face.run("hosts create", "nap", **HOST).ok
    with (VOLUMES / "nap-sda").open("r+b") as disk:
        disk.write(sleeper("Good night", "Good morning"))
    assert face.run("hosts start", "nap").ok
    eventually(lambda: face.run("hosts show", "nap").data["state"] == "pmsuspended")
    (row,) = [row for row in face.run("hosts list").data if row["name"] == "nap"]
    assert row["state"] == "pmsuspended"
    assert face.run("hosts wait", "nap", **{"for": "running", "timeout": 0}).status == 504
    for command, given in [("stop", {}), ("reboot", {}), ("reboot", {"force": True})]:
        answer = face.run(f"hosts {command}", "nap", **given)
        assert (answer.status, "hosts start nap" in answer.detail) == (409, True)
    assert "morning" not in log_of("nap")
    assert face.run("hosts start", "nap").ok
    eventually(lambda: "Good morning" in log_of("nap"))
    assert face.run("hosts show", "nap").data["state"] == "running"
    assert face.run("hosts delete", "nap").ok


@pytest.mark.parametrize("timeout", [None, 20])
def test_r47_sleeping_guest_is_powered_off(face: Face, timeout: int | None) -> None:
    assert face.run("hosts create", "nap", **HOST).ok
    with (VOLUMES / "nap-sda").open("r+b") as disk:
        disk.write(sleeper("Good night", "Good morning"))
    assert face.run("hosts start", "nap").ok
    eventually(lambda: face.run("hosts show", "nap").data["state"] == "pmsuspended")
    given = {"force": True} | ({"timeout": timeout} if timeout else {})
    assert face.run("hosts stop", "nap", **given).ok
    assert condition(face, "nap") == ("shut off", "destroyed")
    assert face.run("hosts delete", "nap").ok


def test_r47_paused_by_somebody(face: Face) -> None:
    assert face.run("hosts create", "still", **HOST, start=True).ok
    virsh("suspend", "still")
    assert condition(face, "still") == ("paused", "user")
    answer = face.run("hosts wait", "still", **{"for": "running", "timeout": 0})
    assert (answer.status, "paused (user)" in answer.detail) == (504, True)
    answer = face.run("hosts stop", "still")
    assert (answer.status, "paused (user)" in answer.detail) == (409, True)
    assert face.run("doctor").data == []
    assert face.run("hosts start", "still").ok
    assert condition(face, "still") == ("running", "unpaused")
    assert face.run("hosts delete", "still").ok
