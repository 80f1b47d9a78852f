"""Steps run in order, are rolled back when one fails, and are logged."""

import logging
import signal
from collections.abc import Iterator

import pytest

from shctl.common import signals
from shctl.common.errors import Conflict
from shctl.common.steps import Step, run


def step(name: str, *, undo: bool = True) -> Step[list[str]]:
    return Step(
        "create", f"thing {name}", f"Create {name}.",
        do=lambda log: log.append(name),
        undo=(lambda log: log.append(f"no {name}")) if undo else None,
    )  # fmt: skip


def fail(_: object) -> None:
    raise Conflict("taken")


FAILING: Step[list[str]] = Step(
    "create", "thing", "Fail.", fail, undo=lambda log: log.append("no failed thing")
)


def test_steps_run_in_order() -> None:
    log: list[str] = []
    run([step("one"), step("two")], log)
    assert log == ["one", "two"]


def test_failed_step_rolls_back_those_before_it() -> None:
    log: list[str] = []
    with pytest.raises(Conflict, match="^taken$"):
        run([step("one"), step("two", undo=False), step("three"), FAILING, step("four")], log)
    assert log == ["one", "two", "three", "no three", "no one"]


def test_failed_rollback_names_its_step() -> None:
    stuck: Step[list[str]] = Step("create", "thing one", "Create.", lambda _: None, undo=fail)
    with pytest.raises(Conflict, match="taken; left behind: thing one "):
        run([stuck, FAILING], [])


def test_each_step_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run([step("one"), step("two")], [])
    assert caplog.messages == ["Create one.", "Create two."]


@pytest.fixture
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    signals.install()
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(log: list[str]) -> None:
    signal.raise_signal(signal.SIGINT)
    log.append("done")


@pytest.mark.usefixtures("_signals")
def test_interrupted_step_is_finished_and_rolled_back() -> None:
    log: list[str] = []
    step: Step[list[str]] = Step("a", "b", "c", interrupt, undo=lambda log: log.append("undone"))
    with pytest.raises(KeyboardInterrupt):
        run([step], log)
    assert log == ["done", "undone"]


@pytest.mark.usefixtures("_signals")
def test_step_without_rollback_is_interrupted_at_once() -> None:
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run([step("one"), Step("a", "b", "c", interrupt)], log)
    assert log == ["one", "no one"]


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("early", [True, False])
def test_interruptible_part_of_a_step_ends_at_once(early: bool) -> None:
    """Whether the interrupt comes in it or before it; and the next step is protected again."""
    log: list[str] = []

    def do(log: list[str]) -> None:
        if early:
            interrupt(log)
        with signals.interruptible():
            interrupt(log)

    with pytest.raises(KeyboardInterrupt):
        run([step("one"), Step("a", "b", "c", do, undo=lambda log: log.append("never"))], log)
    assert log == ["one", *(["done"] if early else []), "no one"]
    with pytest.raises(KeyboardInterrupt), signals.deferred():
        interrupt(log)
    assert log[-1] == "done"
