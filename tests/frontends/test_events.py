"""Events on the command line and over REST: both say the same."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.frontends.frontend import CommandLine, Frontend, Rest
from tests.guests import End
from tests.installations import Trees, begin, delete
from tests.support import create, ok, spawn

pytestmark = [pytest.mark.hypervisor, pytest.mark.usefixtures("vlan10")]
COMMAND = "events"


@contextmanager
def following(frontend: Frontend, host: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """Yield a function that returns the next event of a host."""
    if isinstance(frontend, CommandLine):
        process = spawn("--verbose", "-o", "json", COMMAND, "--follow", "--host", host)
        assert process.stdout
        assert process.stderr
        assert "Listening" in process.stderr.readline()
        stdout = process.stdout
        yield lambda: json.loads(stdout.readline())
        process.kill()
        process.communicate()
        return
    assert isinstance(frontend, Rest)
    with frontend.follow(f"/{COMMAND}?host={host}") as lines:
        yield lambda: json.loads(
            next(line for line in lines if line.startswith("data: ")).removeprefix("data: ")
        )


def test_an_installation(frontend: Frontend, trees: Trees) -> None:
    with following(frontend, "ev") as take:
        create("first")  # of another host: no event
        begin("ev", trees.of(End.RESET))
        ok("hosts", "wait", "ev", "--for", "installed", "--timeout", "30")
        delete("ev", "first")
        found: list[dict[str, Any]] = []
        while not found or found[-1]["event"] != "host.deleted":
            found.append(take())
    assert {(row["host"], row["network"]) for row in found} == {("ev", None)}
    assert len({row["uuid"] for row in found}) == 1
    assert [(row["event"], row["detail"]) for row in found if row["event"] != "host.changed"] == [
        ("host.created", None),
        ("host.install", "installing"),
        ("host.started", None),
        ("host.stopped", "shutdown"),
        ("host.started", None),
        ("host.install", "installed"),
        ("host.stopped", "powered off"),
        ("host.deleted", None),
    ]
