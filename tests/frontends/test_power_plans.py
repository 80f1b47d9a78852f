"""Dry runs of what changes a host's power state, on the command line and over REST."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.frontends.frontend import Answer, Frontend
from tests.guests import End
from tests.installations import Trees, begin
from tests.support import call, create, ok, state

pytestmark = [pytest.mark.hypervisor, pytest.mark.usefixtures("vlan10")]


@pytest.fixture
def off() -> Iterator[str]:
    create("pp")
    yield "pp"
    ok("hosts", "delete", "--yes", "pp")


@pytest.fixture
def on(off: str) -> str:
    ok("hosts", "start", off)
    return off


def actions(answer: Answer) -> list[str]:
    """Return the actions of the plan of one host."""
    assert answer.ok, answer
    plan = answer.data[0] if isinstance(answer.data, list) else answer.data
    assert plan["name"] == "pp"
    assert all(step["target"] == "host pp" for step in plan["steps"])
    return [step["action"] for step in plan["steps"]]


def plan(frontend: Frontend, command: str, **given: Any) -> list[str]:
    before = state("pp")
    found = actions(frontend.run(f"hosts {command}", "pp", dry_run=True, **given))
    assert state("pp") == before
    return found


def test_host_that_is_off(frontend: Frontend, off: str) -> None:
    assert plan(frontend, "start") == ["start"]
    assert plan(frontend, "stop") == []
    planned = frontend.run("hosts reboot", off, dry_run=True)
    assert planned == frontend.run("hosts reboot", off)
    assert planned.status == 409


def test_host_that_is_on(frontend: Frontend, on: str) -> None:
    assert plan(frontend, "start") == []
    assert plan(frontend, "stop") == ["shut down"]
    assert plan(frontend, "stop", force=True) == ["destroy"]
    assert plan(frontend, "stop", force=True, timeout=5) == ["shut down", "destroy"]
    assert plan(frontend, "reboot") == ["reboot"]
    assert plan(frontend, "reboot", force=True) == ["reset"]


def test_host_that_is_paused(frontend: Frontend, on: str) -> None:
    call("virsh", "suspend", on)
    assert plan(frontend, "start") == ["resume"]
    for command in ("stop", "reboot"):
        planned = frontend.run(f"hosts {command}", on, dry_run=True)
        assert planned == frontend.run(f"hosts {command}", on)
        assert planned.status == 409


def test_host_that_is_installed(frontend: Frontend, trees: Trees) -> None:
    begin("pp", trees.of(End.HALT))
    for command in ("stop", "reboot"):
        planned = frontend.run(f"hosts {command}", "pp", dry_run=True)
        assert planned == frontend.run(f"hosts {command}", "pp")
        assert "is being installed" in planned.detail
    assert plan(frontend, "stop", force=True) == ["destroy"]
    ok("hosts", "delete", "--yes", "pp")


def test_no_such_host(frontend: Frontend) -> None:
    for command in ("start", "stop", "reboot"):
        assert frontend.run(f"hosts {command}", "nobody", dry_run=True).status == 404
