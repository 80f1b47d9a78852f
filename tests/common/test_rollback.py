"""Rollback: runs every step, newest first, and reports what it could not undo."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from shctl.common import signals
from shctl.common.errors import Conflict, NoSpace, ShctlError
from shctl.common.rollback import Rollback

Step = Callable[[], object]


def attempt(error: BaseException | None, *steps: tuple[str, Step]) -> None:
    """Run some steps, then raise the error if there is one."""
    with Rollback() as undo:
        for what, step in steps:
            undo.push(what, step)
        if error:
            raise error


class Things(list[str]):
    """Records what was rolled back, in order."""

    def step(self, name: str) -> tuple[str, Step]:
        return name, lambda: self.append(name)


def test_success_rolls_nothing_back() -> None:
    taken = Things()
    attempt(None, taken.step("one"))
    assert taken == []


@pytest.mark.parametrize("error", [Conflict("no"), KeyboardInterrupt(), RuntimeError("no")])
def test_failure_rolls_back_newest_first(error: BaseException) -> None:
    taken = Things()
    with pytest.raises(type(error)) as caught:
        attempt(error, taken.step("one"), taken.step("two"))
    assert taken == ["two", "one"]
    assert caught.value is error


def fail() -> NoReturn:
    raise Conflict("undeletable")


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


def impatient() -> None:
    """Press Ctrl-C once more while steps run or are rolled back."""
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
def test_second_interrupt_does_not_stop_the_rollback() -> None:
    taken = Things()
    with pytest.raises(Conflict, match="^no$"):
        attempt(Conflict("no"), taken.step("one"), ("two", impatient))
    assert taken == ["one"]


@pytest.mark.usefixtures("_signals")
def test_interrupt_during_a_step() -> None:
    """The step is registered before it runs, and rolled back."""
    things: list[str] = []

    def make() -> str:
        things.append("one")
        impatient()
        return "one"

    with pytest.raises(KeyboardInterrupt), Rollback() as undo:
        undo.make("one", make, things.remove)
    assert things == []


def test_failed_step_is_not_rolled_back() -> None:
    with pytest.raises(Conflict, match="^undeletable$"), Rollback() as undo:
        undo.make("one", fail, lambda _: pytest.fail("taken back"))


@pytest.mark.parametrize("step", [fail, interrupt])
def test_failed_rollback_is_named_and_stops_no_other(step: Step) -> None:
    taken = Things()
    with pytest.raises(NoSpace, match=r"full; left behind: two \('shctl doctor' lists it\)"):
        attempt(NoSpace("full"), taken.step("one"), ("two", step), taken.step("three"))
    assert taken == ["three", "one"]


def test_error_keeps_its_class_and_field() -> None:
    with pytest.raises(NoSpace) as caught:
        attempt(NoSpace("full", field="disks"), ("two", fail))
    assert caught.value.field == "disks"
    assert caught.value.exit_code == 8


@pytest.mark.parametrize(
    ("error", "words"), [(RuntimeError("boom"), "boom"), (KeyboardInterrupt(), "interrupted")]
)
def test_other_error_becomes_shctls_if_the_rollback_fails(error: BaseException, words: str) -> None:
    with pytest.raises(ShctlError, match=f"{words}; left behind: two") as caught:
        attempt(error, ("two", fail))
    assert caught.value.__cause__ is error
