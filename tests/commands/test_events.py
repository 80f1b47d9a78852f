"""`shctl events` on the command line."""

import json
import signal
from typing import Any

import pytest

from tests.installations import delete
from tests.support import create, finish, ok, run, spawn

pytestmark = pytest.mark.usefixtures("vlan10")


def follow(*options: str) -> Any:
    """Start to follow; return the process once it sees events."""
    process = spawn("--verbose", "-o", "json", "events", "--follow", *options)
    assert process.stderr
    assert "Listening" in process.stderr.readline()
    return process


def events(process: Any, last: str) -> list[tuple[str, str | None]]:
    """Return the events up to one of this kind, with their details."""
    found: list[tuple[str, str | None]] = []
    while not found or found[-1][0] != last:
        row = json.loads(process.stdout.readline())
        found.append((row["event"], row["detail"]))
    return found


def test_one_event_as_a_line() -> None:
    process = spawn("events")
    assert process.stdout
    while process.poll() is None:
        create("once")
        ok("hosts", "delete", "--yes", "once")
    done = finish(process)
    assert done.code == 0
    time, event, name, detail = done.out.split()
    assert (event in ("host.created", "host.deleted"), name, detail) == (True, "once", "-")
    assert time.endswith("Z")


def test_ctrl_c_is_the_usual_end() -> None:
    process = follow()
    create("ctrlc")
    assert events(process, "host.created") == [("host.created", None)]
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, done.err) == (0, "")
    delete("ctrlc")


def test_unreachable() -> None:
    done = run("-c", "qemu+unix:///system?socket=/nowhere", "events")
    assert (done.code, done.out) == (6, "")
