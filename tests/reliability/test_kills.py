"""Scoreboard R04: kill -9 in the middle of creating, installing and deleting.

Afterwards `doctor --fix` must find all leftovers, and the host must be complete or gone.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from shctl.common.errors import NotFound
from shctl.doctor import examine
from shctl.hosts import details
from shctl.hypervisor.connection import Hypervisor
from tests.guests import End
from tests.installations import serving
from tests.kill_points import Forker, moments
from tests.scoreboard import SURVIVED, Figures, rounds
from tests.support import URI, eventually

pytestmark = pytest.mark.hypervisor

Snapshot = Callable[[], set[tuple[str, str]]]
CREATE = "hosts create k --memory 64 --disk 1 --disk 1 --network vlan10"


@dataclass(frozen=True)
class Operation:
    """A command to interrupt, and the command that prepares it."""

    words: str
    before: str = ""

    def prepare(self, shctl: Forker, there: str = "gone") -> None:
        """Prepare the command, starting from a host that is complete or gone."""
        if there == "complete" and not self.before:
            assert shctl.run("hosts", "delete", "--yes", "k") == 0
        if there == "gone" and self.before:
            assert shctl.run(*self.before.split()) == 0

    def run_whole(self, shctl: Forker) -> tuple[list[str], float]:
        """Run it without a kill; return its kill points and its duration in seconds."""
        self.prepare(shctl)
        began = time.monotonic()
        assert shctl.run(*self.words.split()) == 0
        seconds, points = time.monotonic() - began, shctl.trace
        shctl.run("hosts", "delete", "--yes", "k", "--if-exists")
        return points, seconds


@pytest.fixture(scope="module")
def operations() -> Iterator[dict[str, Operation]]:
    """Return the operations by name; the installer runs until it is stopped."""
    with serving() as trees:
        install = f"{CREATE} --install --location {trees.of(End.SPIN)}"
        create = f"{CREATE} --autostart --start"
        yield {
            "create": Operation(create),
            "install": Operation(install),
            "delete": Operation("hosts delete --yes k", create),
            "delete_install": Operation("hosts delete --yes k", install),
        }


def run_doctor() -> str:
    """Run doctor --fix after a kill; return whether the host is complete or gone."""
    hypervisor = Hypervisor(URI)
    for finding in examine(hypervisor, fix=True):
        assert finding.result == "fixed", finding
    assert examine(hypervisor) == []
    try:
        disks = details.show(hypervisor, "k").disks
    except NotFound:
        return "gone"
    assert [(disk.size, disk.owned) for disk in disks] == [(1.0, True)] * 2
    return "complete"


def spread(of: int, number: int) -> list[int]:
    """Return `number` of the numbers 1 to `of`, evenly spread."""
    return sorted({(2 * i + 1) * of // (2 * number) + 1 for i in range(number)})


@pytest.mark.parametrize("name", ["create", "install", "delete", "delete_install"])
def test_r04_killed_at_each_point(
    name: str, shctl: Forker, operations: dict[str, Operation], snapshot: Snapshot, figures: Figures
) -> None:
    operation, before, end = operations[name], snapshot(), "gone"
    points, _ = operation.run_whole(shctl)
    chosen = spread(len(points), min(rounds(len(points), 2), len(points)))
    figures.share("points", len(chosen), len(points))
    assert len(points) >= 6, points
    for point in chosen:
        operation.prepare(shctl, end)
        assert shctl.run(*operation.words.split(), kill_at=point) == -9
        assert shctl.trace == points[:point]
        end = run_doctor()
        # A creation writes the metadata last, a deletion right after the stop.
        marked = any(passed.endswith("set_metadata") for passed in points[:point])
        assert end == ("complete" if marked != bool(operation.before) else "gone"), points[
            point - 1
        ]
        if end == "gone":
            eventually(lambda: snapshot() == before)
        figures.share(SURVIVED, 1, 1)
    shctl.run("hosts", "delete", "--yes", "k", "--if-exists")


@pytest.mark.parametrize("name", ["create", "install", "delete", "delete_install"])
def test_r04_killed_at_any_moment(
    name: str, shctl: Forker, operations: dict[str, Operation], snapshot: Snapshot, figures: Figures
) -> None:
    operation, before, end = operations[name], snapshot(), "gone"
    _, seconds = operation.run_whole(shctl)
    target = rounds(25, 2)
    chosen, killed = iter(moments(10 * target, seconds)), 0
    while killed < target:
        operation.prepare(shctl, end)
        # A command that ended before the kill proves nothing.
        if shctl.run_until(next(chosen), *operation.words.split()) != -9:
            end = "gone" if operation.before else "complete"
            continue
        killed += 1
        end = run_doctor()
        if end == "gone":
            eventually(lambda: snapshot() == before)
        figures.count(f"{end} in the end")
        figures.count("random moments")
        figures.share(SURVIVED, 1, 1)
    shctl.run("hosts", "delete", "--yes", "k", "--if-exists")
