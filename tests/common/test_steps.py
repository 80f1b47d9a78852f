"""Steps run in order, are rolled back when one fails, and are logged."""

import logging

import pytest

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
