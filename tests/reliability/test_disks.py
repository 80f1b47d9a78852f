"""Changes of disks that are killed, that fail, or that race with others; scoreboard R04, R09."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shctl.common import steps
from shctl.common.errors import Conflict, TimedOut
from shctl.common.steps import Step
from shctl.doctor import examine
from shctl.hosts import change_state, power
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.disk_adding import plan_adding
from shctl.hosts.disk_removal import plan_removal
from shctl.hypervisor.connection import Hypervisor
from tests.kill_points import Forker
from tests.scoreboard import SURVIVED, Figures, rounds
from tests.support import URI, VOLUMES, call, create, eventually, finish, ok, qemu_pid, show, spawn

pytestmark = pytest.mark.usefixtures("vlan10")

Snapshot = Callable[[], set[tuple[str, str]]]
ADD = "hosts disks add k --size 1"
REMOVE = "hosts disks remove k sdb --yes"
SDB = VOLUMES / "k-sdb"


@pytest.fixture
def k() -> Iterator[str]:
    """Create a host."""
    create("k")
    yield "k"
    ok("hosts", "delete", "--yes", "k", "--if-exists")


def dumpxml() -> list[str]:
    # libvirt sorts the controllers when it defines a host again.
    return sorted(call("virsh", "-q", "dumpxml", "--inactive", "--security-info", "k").split())


def disks() -> list[str]:
    return [disk["name"] for disk in show("k")["disks"]]


def prepare(words: str, *, start: bool) -> None:
    """Create the host again, with sdb if that will be removed."""
    ok("hosts", "delete", "--yes", "k", "--if-exists")
    create("k", *(["--start"] if start else []))
    if words != ADD:
        ok(*ADD.split())


def run_doctor() -> None:
    for finding in examine(Hypervisor(URI), fix=True):
        # A volume that was kept belongs to no host.
        assert finding.result == "fixed" or finding.kind == "volume", finding


@pytest.mark.parametrize("after", ["doctor", "delete"])
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("words", [ADD, REMOVE, f"{REMOVE} --keep"])
def test_r04_killed_at_each_point(
    words: str, start: bool, after: str, shctl: Forker, k: str, snapshot: Snapshot, figures: Figures
) -> None:
    """doctor finishes or undoes it, a deletion removes all but a disk that is to be kept."""
    del k
    ok("hosts", "delete", "--yes", "k")
    nothing = snapshot()
    prepare(words, start=start)
    assert shctl.run(*words.split()) == 0
    points = shctl.trace
    assert len(points) >= 2, points
    SDB.unlink(missing_ok=True)
    for point in range(1, len(points) + 1)[:: rounds(1, 2)]:
        call("virsh", "-q", "pool-refresh", "shctl")
        prepare(words, start=start)
        assert shctl.run(*words.split(), kill_at=point) == -9
        if after == "doctor":
            run_doctor()
            has = "k-sdb" in " ".join(dumpxml())
            assert SDB.exists() == (has or words.endswith("--keep")), points[point - 1]
            assert disks() in (["sda"], ["sda", "sdb"])
            ok(*"hosts disks add k --size 1".split())
        ok("hosts", "delete", "--yes", "k")
        if words.endswith("--keep"):
            SDB.unlink(missing_ok=True)
        left = snapshot() - nothing
        assert {name for _, name in left} <= ({str(SDB)} if words.endswith("--keep") else set())
        figures.share(SURVIVED, 1, 1)
    call("virsh", "-q", "pool-refresh", "shctl")


def fail(_: ChangeSteps) -> None:
    raise Conflict("no")


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("words", [ADD, REMOVE])
def test_a_failure_after_each_step(words: str, start: bool, k: str, snapshot: Snapshot) -> None:
    """Everything is as it was, the running host too, until the data is removed."""
    prepare(words, start=start)
    before, things = (dumpxml(), show(k)), snapshot()
    hypervisor = Hypervisor(URI)
    for number in range(1, 5):
        state = change_state.read(hypervisor, k)
        made: Any = (
            plan_adding(hypervisor, state, 1, "shctl")
            if words == ADD
            else plan_removal(hypervisor, state, "sdb", keep=False)
        )
        if number == len(made.steps) or made.steps[number - 1].action == "remove":
            break
        failing = Step("fail", "", "Fail.", fail)
        with pytest.raises(Conflict, match="^no$"):
            steps.run([*made.steps[:number], failing], ChangeSteps(hypervisor, state))
        assert ((dumpxml(), show(k)), snapshot()) == (before, things)
    else:
        assert (words, start) == (ADD, True)


@pytest.mark.parametrize("words", [ADD, REMOVE])
def test_r16_qemu_that_hangs_meanwhile(
    words: str, k: str, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What QEMU may still do is not undone; the rest is named, and doctor finishes it."""
    monkeypatch.setattr(power, "_QEMU_TIMEOUT", 1.0)
    prepare(words, start=True)
    things, hypervisor = snapshot(), Hypervisor(URI)
    state = change_state.read(hypervisor, k)
    made: Any = (
        plan_adding(hypervisor, state, 1, "shctl")
        if words == ADD
        else plan_removal(hypervisor, state, "sdb", keep=False)
    )
    call("kill", "-STOP", str(qemu_pid(k)))
    with pytest.raises(TimedOut, match="did not answer within 1 s.*left behind: ") as caught:
        steps.run(made.steps, ChangeSteps(hypervisor, state))
    call("kill", "-CONT", str(qemu_pid(k)))
    assert ("volume k-sdb in pool shctl" in str(caught.value)) == (words == ADD)
    assert SDB.exists()
    # The calls that were abandoned end now, the last of which removes the disk.
    eventually(lambda: disks() == ["sda"])
    assert "k-sdb" in " ".join(dumpxml())
    eventually(lambda: examine(Hypervisor(URI), fix=True) == [])
    assert "pending" not in " ".join(dumpxml())
    ok("hosts", "stop", "--force", k)
    ok("hosts", "start", k)
    assert disks() == ["sda", "sdb"]
    ok("hosts", "stop", "--force", k)
    ok("hosts", "disks", "remove", k, "sdb", "--yes")
    assert snapshot() <= things


def test_r09_additions_at_once(k: str) -> None:
    for _ in range(rounds(10, 1)):
        ends = [finish(process) for process in [spawn(*ADD.split()) for _ in range(4)]]
        assert {end.code for end in ends} == {0}, ends
        assert disks() == ["sda", "sdb", "sdc", "sdd", "sde"]
        for name in disks()[1:]:
            ok(*f"hosts disks remove k {name} --yes".split())
    assert k


@pytest.mark.parametrize("start", [False, True])
def test_r09_addition_and_deletion_of_the_host(start: bool, k: str, snapshot: Snapshot) -> None:
    ok("hosts", "delete", "--yes", k)
    nothing = snapshot()
    for number in range(rounds(10, 2)):
        create(k, *(["--start"] if start else []))
        lines = [ADD, f"hosts delete {k} --yes"]
        ends = [
            finish(process)
            for process in [spawn(*line.split()) for line in lines[:: 1 - 2 * (number % 2)]]
        ]
        assert {end.code for end in ends} <= {0, 3}, ends
        assert snapshot() == nothing


def test_r09_resize_and_removal(k: str) -> None:
    for _ in range(rounds(10, 2)):
        ok(*ADD.split())
        lines = ["hosts disks resize k sdb --size 2", REMOVE, REMOVE]
        ends = [finish(process) for process in [spawn(*line.split()) for line in lines]]
        assert ends[0].code in (0, 3), ends
        assert sorted(end.code for end in ends[1:]) == [0, 3], ends
        assert (disks(), SDB.exists()) == (["sda"], False)
    assert k
