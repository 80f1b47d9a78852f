"""Scoreboard R04: kill -9 in the middle of creating, installing and deleting.

Afterwards `doctor --fix` has to find all that is left, and a host has to be whole or gone.
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
from tests.kill_points import Forker, forker, moments
from tests.scoreboard import SURVIVED, Figures, rounds
from tests.support import URI, eventually, prepare

pytestmark = pytest.mark.hypervisor

Look = Callable[[], set[tuple[str, str]]]
CREATE = "hosts create k --memory 64 --disk 1 --disk 1 --network vlan10"


@dataclass(frozen=True)
class Deed:
    """What is interrupted, and what has to be there before."""

    words: str
    before: str = ""

    def prepare(self, shctl: Forker, there: str = "gone") -> None:
        """Make what it begins with out of a host that is whole or gone."""
        if there == "whole" and not self.before:
            assert shctl.run("hosts", "delete", "--yes", "k") == 0
        if there == "gone" and self.before:
            assert shctl.run(*self.before.split()) == 0

    def whole(self, shctl: Forker) -> tuple[list[str], float]:
        """Do it undisturbed; return its kill points and how long it took, in seconds."""
        self.prepare(shctl)
        began = time.monotonic()
        assert shctl.run(*self.words.split()) == 0
        seconds, points = time.monotonic() - began, shctl.trace
        shctl.run("hosts", "delete", "--yes", "k", "--if-exists")
        return points, seconds


@pytest.fixture(scope="module")
def shctl() -> Iterator[Forker]:
    prepare()
    with forker() as found:
        yield found


@pytest.fixture(scope="module")
def deeds() -> Iterator[dict[str, Deed]]:
    """Return the deeds by name; an installer that spins goes on until it is stopped."""
    with serving() as trees:
        install = f"{CREATE} --install --location {trees.of(End.SPIN)}"
        create = f"{CREATE} --autostart --start"
        yield {
            "create": Deed(create),
            "install": Deed(install),
            "delete": Deed("hosts delete --yes k", create),
            "delete_install": Deed("hosts delete --yes k", install),
        }


def heal() -> str:
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
    return "whole"


def spread(of: int, number: int) -> list[int]:
    """Return `number` of the numbers 1 to `of`, evenly spread."""
    return sorted({(2 * i + 1) * of // (2 * number) + 1 for i in range(number)})


@pytest.mark.parametrize("name", ["create", "install", "delete", "delete_install"])
def test_r04_killed_at_each_point(
    name: str, shctl: Forker, deeds: dict[str, Deed], look: Look, figures: Figures
) -> None:
    deed, before, end = deeds[name], look(), "gone"
    points, _ = deed.whole(shctl)
    chosen = spread(len(points), min(rounds(len(points), 2), len(points)))
    figures.share("points", len(chosen), len(points))
    assert len(points) >= 6, points
    for point in chosen:
        deed.prepare(shctl, end)
        assert shctl.run(*deed.words.split(), kill_at=point) == -9
        assert shctl.trace == points[:point]
        end = heal()
        # Its metadata is written last in a creation, and first, after the stop, in a deletion.
        marked = any(passed.endswith("set_metadata") for passed in points[:point])
        assert end == ("whole" if marked != bool(deed.before) else "gone"), points[point - 1]
        if end == "gone":
            eventually(lambda: look() == before)
        figures.share(SURVIVED, 1, 1)
    shctl.run("hosts", "delete", "--yes", "k", "--if-exists")


@pytest.mark.parametrize("name", ["create", "install", "delete", "delete_install"])
def test_r04_killed_at_any_moment(
    name: str, shctl: Forker, deeds: dict[str, Deed], look: Look, figures: Figures
) -> None:
    deed, before, end = deeds[name], look(), "gone"
    _, seconds = deed.whole(shctl)
    target = rounds(25, 2)
    chosen, killed = iter(moments(10 * target, seconds)), 0
    while killed < target:
        deed.prepare(shctl, end)
        # One that had ended before was not killed, and has shown nothing.
        if shctl.run_until(next(chosen), *deed.words.split()) != -9:
            end = "gone" if deed.before else "whole"
            continue
        killed += 1
        end = heal()
        if end == "gone":
            eventually(lambda: look() == before)
        figures.count(f"{end} in the end")
        figures.count("random moments")
        figures.share(SURVIVED, 1, 1)
    shctl.run("hosts", "delete", "--yes", "k", "--if-exists")
