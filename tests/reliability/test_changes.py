"""Changes of hosts that are killed, that race with others, or that another program interferes with.

Also scoreboard R04, kill -9, and R09, races.
"""

import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from shctl.common import steps
from shctl.common.errors import Conflict
from shctl.common.steps import Step
from shctl.doctor import examine
from shctl.hosts import change_state
from shctl.hosts.change_steps import ChangeSteps
from shctl.hypervisor.connection import Hypervisor
from shctl.xml import edits
from tests.kill_points import Forker, moments
from tests.scoreboard import SURVIVED, Figures, rounds
from tests.support import (
    URI,
    call,
    create,
    daemon,
    define,
    eventually,
    finish,
    ok,
    qemu_pid,
    run,
    show,
    spawn,
)

pytestmark = pytest.mark.usefixtures("vlan10")

SET = "hosts set k --memory 96 --cpus 4 --autostart"
BACK = "hosts set k --memory 64 --cpus 1 --no-autostart"
BEFORE = ((64, 64), (1, 4), False)
AFTER = ((96, 96), (4, 4), True)


@pytest.fixture
def k() -> Iterator[str]:
    """Create a host."""
    create("k")
    yield "k"
    ok("hosts", "delete", "--yes", "k", "--if-exists")


def dumpxml(name: str) -> str:
    return call("virsh", "-q", "dumpxml", "--inactive", "--security-info", name)


def values(name: str) -> tuple[tuple[int, int], tuple[int, int], bool]:
    host = show(name)
    return (
        (host["memory"], host["max_memory"]), (host["cpus"], host["max_cpus"]), host["autostart"],
    )  # fmt: skip


# --- kill -9 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [False, True])
def test_r04_change_killed_at_each_point(
    start: bool, shctl: Forker, k: str, figures: Figures
) -> None:
    """The definition is the old or the new one, never a mixture; repeating completes the change."""
    ok(*"hosts set k --cpus 4".split())
    _begin_again(start=start)
    assert shctl.run(*SET.split()) == 0
    points = shctl.trace
    assert len(points) >= (6 if start else 4), points
    for point in range(1, len(points) + 1):
        _begin_again(start=start)
        assert shctl.run(*SET.split(), kill_at=point) == -9
        memory, cpus, autostart = _stored_values(k)
        assert (memory, cpus) in (BEFORE[:2], AFTER[:2]), points[point - 1]
        # Autostart is changed after the definition.
        assert not autostart or (memory, cpus) == AFTER[:2]
        assert examine(Hypervisor(URI)) == []
        ok(*SET.split())
        assert _stored_values(k) == AFTER
        figures.share(SURVIVED, 1, 1)


def _begin_again(*, start: bool) -> None:
    """Restore the old values; a running host has one processor then, to which others are added."""
    ok("hosts", "stop", "--force", "k")
    ok(*BACK.split())
    if start:
        ok("hosts", "start", "k")


def _stored_values(name: str) -> tuple[tuple[int, int], tuple[int, int], bool]:
    state = change_state.read(Hypervisor(URI), name)
    info = state.stored
    return (info.memory, info.max_memory), (info.cpus, info.max_cpus), state.autostart


def test_r04_change_killed_at_any_moment(shctl: Forker, k: str, figures: Figures) -> None:
    ok(*"hosts set k --cpus 4".split())
    for moment in moments(rounds(100, 10), 0.05):
        ok(*BACK.split())
        shctl.run_until(moment, *SET.split())
        assert values(k)[:2] in (BEFORE[:2], AFTER[:2])
        figures.share(SURVIVED, 1, 1)
    assert examine(Hypervisor(URI)) == []


def test_r14_libvirtd_killed_during_changes(k: str, figures: Figures) -> None:
    """A change is made or not; it says so, or that libvirt was lost."""
    ok(*"hosts set k --cpus 4".split())
    for _ in range(rounds(20, 3)):
        ok(*BACK.split())
        process = spawn(*SET.split())
        daemon("kill", "libvirtd")
        daemon("start", "libvirtd")
        done = finish(process)
        assert done.code in (0, 6), done
        found = eventually(lambda: values(k))
        assert found[:2] in (BEFORE[:2], AFTER[:2])
        assert done.code == 6 or found == AFTER
        figures.share(SURVIVED, 1, 1)


# --- Races ----------------------------------------------------------------------------------------


def test_r09_changes_of_one_host(k: str) -> None:
    """Changes of different values are all made; of equal ones the last remains."""
    for _ in range(rounds(10, 1)):
        lines = [
            "hosts set k --memory 96", "hosts set k --cpus 3", "hosts set k --autostart",
            "hosts set k --firmware uefi",
        ]  # fmt: skip
        ends = [finish(process) for process in [spawn(*line.split()) for line in lines]]
        assert {end.code for end in ends} == {0}, ends
        host = show(k)
        assert (values(k)[0], host["cpus"], host["autostart"]) == ((96, 96), 3, True)
        assert host["firmware"] == "uefi"
        ok(*"hosts set k --memory 64 --cpus 1 --no-autostart --firmware bios".split())
        sizes = range(65, 73)
        ends = [
            finish(process)
            for process in [spawn(*f"hosts set k --memory {size}".split()) for size in sizes]
        ]
        assert {end.code for end in ends} == {0}, ends
        assert show(k)["memory"] in sizes
        ok(*"hosts set k --memory 64".split())


@pytest.mark.parametrize("other", ["start", "stop --force", "delete --yes"])
def test_r09_changes_while_something_else_happens(other: str, k: str, figures: Figures) -> None:
    for _ in range(rounds(10, 2)):
        if other.startswith("stop"):
            ok("hosts", "start", k)
        verb, *more = other.split()
        lines = [f"hosts set k --memory {size}" for size in (65, 66, 67)]
        lines.insert(1, " ".join(["hosts", verb, *more, k]))
        ends = [finish(process) for process in [spawn(*line.split()) for line in lines]]
        figures.count("rounds")
        codes = Counter(end.code for end in ends)
        if other.startswith("delete"):
            assert ends[1].code == 0
            assert set(codes) <= {0, 3}, ends
            assert run("hosts", "show", k).code == 3
            create(k)
            continue
        assert codes == {0: 4}, ends
        host = show(k)
        assert host["state"] == ("running" if other == "start" else "shut off")
        ok("hosts", "stop", "--force", k)
        assert show(k)["memory"] in (65, 66, 67)


# --- Other programs -------------------------------------------------------------------------------


def redefine(name: str, old: str, new: str) -> None:
    """Change a definition as `virsh edit` does."""
    xml = dumpxml(name)
    assert old in xml
    define(xml.replace(old, new))


def store_step(mib: int) -> Step[ChangeSteps]:
    edit = partial(edits.edited, changes=[partial(edits.set_memory, mib=mib)])
    return Step(
        "define", "definition of host k", "Store memory.",
        partial(ChangeSteps.store, edit=edit), ChangeSteps.restore,
    )  # fmt: skip


def begin() -> ChangeSteps:
    hypervisor = Hypervisor(URI)
    return ChangeSteps(hypervisor, change_state.read(hypervisor, "k"))


def test_a_definition_that_changed_meanwhile_is_not_overwritten(k: str) -> None:
    change = begin()
    redefine(k, "<on_crash>destroy", "<on_crash>restart")
    between = dumpxml(k)
    with pytest.raises(Conflict, match="another program changed the definition") as caught:
        steps.run([store_step(96)], change)
    assert "left behind" not in str(caught.value)
    assert dumpxml(k) == between


def fail(_: ChangeSteps) -> None:
    raise Conflict("no")


def test_the_definition_is_restored(k: str) -> None:
    # libvirt sorts the controllers when it defines a host again.
    ok(*"hosts set k --memory 65".split())
    before = dumpxml(k)
    with pytest.raises(Conflict, match="^no$"):
        steps.run([store_step(96), store_step(128), Step("fail", "", "Fail.", fail)], begin())
    assert dumpxml(k) == before


def test_a_definition_that_changed_before_the_rollback_is_left(k: str) -> None:
    """Restoring the old one would lose the other program's change."""

    def interfere(_: ChangeSteps) -> None:
        redefine(k, "<on_crash>destroy", "<on_crash>restart")
        raise Conflict("no")

    with pytest.raises(Conflict, match="no; left behind: definition of host k"):
        steps.run([store_step(96), Step("fail", "", "Fail.", interfere)], begin())
    assert "<on_crash>restart" in dumpxml(k)
    assert show(k)["memory"] == 96


def test_metadata_are_written_and_restored(k: str) -> None:
    before = dumpxml(k)
    change = begin()

    def write(steps_: ChangeSteps) -> None:
        steps_.write_metadata(lambda data: data.__class__(data.created, paths=("/p",)))

    written = Step("write", "metadata", "Write.", write, ChangeSteps.restore_metadata)
    with pytest.raises(Conflict, match="^no$"):
        steps.run([written, store_step(96), Step("fail", "", "Fail.", fail)], change)
    assert sorted(dumpxml(k).split()) == sorted(before.split())


def test_a_hung_qemu_does_not_block_changes(k: str) -> None:
    """What is stored does not depend on QEMU."""
    ok("hosts", "start", k)
    subprocess.run(["kill", "-STOP", str(qemu_pid(k))], check=True)
    try:
        ok(*"hosts set k --memory 96 --autostart".split())
    finally:
        subprocess.run(["kill", "-CONT", str(qemu_pid(k))], check=True)
    assert show(k)["pending"][0]["value"] == 96
