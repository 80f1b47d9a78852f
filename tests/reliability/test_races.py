"""Scoreboard R09: eight concurrent creations of one name, repeated."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.scoreboard import Figures, rounds
from tests.support import VOLUMES, Done, call, finish, ok, run, spawn

pytestmark = pytest.mark.usefixtures("vlan10")

RIVALS = 8
CREATE = "hosts create --disk 1 --network vlan10"


def race(line: Callable[[int], str]) -> list[Done]:
    """Run eight commands at once."""
    processes = [spawn(*line(number).split()) for number in range(RIVALS)]
    return [finish(process) for process in processes]


@pytest.mark.parametrize("start", ["--no-start", "--start"])
def test_r09_one_host(start: str, figures: Figures) -> None:
    for _ in range(rounds(25, 1)):
        ends = race(
            lambda n: f"hosts create race --memory {64 + n} --disk 1 --network vlan10 {start}"
        )
        assert Counter(end.code for end in ends) == {0: 1, 4: RIVALS - 1}, ends
        assert all(end.err.count("\n") == 1 for end in ends if end.code)
        # The winner's host is complete: the losers' rollback removed nothing of it.
        assert [volume.name for volume in VOLUMES.iterdir()] == ["race-sda"]
        assert run("-o", "json", "hosts", "show", "race").json["disks"][0]["owned"]
        ok("hosts", "delete", "--yes", "race")
        figures.count("rounds")
        figures.count("refused", RIVALS - 1)


def test_r09_one_network() -> None:
    for _ in range(rounds(10, 1)):
        ends = race(lambda n: f"networks create race --bridge br0 --vlan {n + 1}")
        assert Counter(end.code for end in ends) == {0: 1, 4: RIVALS - 1}, ends
        winner = next(number for number, end in enumerate(ends) if not end.code)
        assert run("-o", "json", "networks", "show", "race").json["vlan"] == winner + 1
        ok("networks", "delete", "--yes", "race")


def test_r09_first_creations_create_one_pool() -> None:
    """Eight different hosts are created while the default pool does not exist."""
    call("virsh", "pool-destroy", "shctl")
    call("virsh", "pool-undefine", "shctl")
    ends = race(lambda n: f"{CREATE} first{n} --memory 64")
    assert {end.code for end in ends} == {0}, ends
    ok("hosts", "delete", "--yes", *(f"first{n}" for n in range(RIVALS)))


def test_r09_starts_and_deletes_of_one_host() -> None:
    for _ in range(rounds(10, 1)):
        ok(*f"{CREATE} race --memory 64".split())
        ends = race(lambda n: f"hosts {'delete --yes' if n % 2 else 'start'} race")
        assert {end.code for end in ends} <= {0, 3}, ends
        assert Counter(end.code for end in ends[1::2])[0] == 1
        assert run("hosts", "show", "race").code == 3


def test_r09_network_deleted_while_a_host_is_created() -> None:
    """Either the host has its network, or there is no host."""
    for _ in range(rounds(10, 1)):
        ok(*"networks create goes --bridge br0 --vlan 7".split())
        create, delete = (
            spawn(*line.split())
            for line in (
                "hosts create comes --memory 64 --disk 1 --network goes",
                "networks delete --yes goes",
            )
        )
        created, deleted = finish(create), finish(delete)
        assert (created.code, deleted.code) in ((0, 4), (2, 0)), (created, deleted)
        ok("hosts", "delete", "--yes", "comes", "--if-exists")
        ok("networks", "delete", "--yes", "goes", "--if-exists")
