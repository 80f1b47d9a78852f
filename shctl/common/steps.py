"""Plans of changes: steps that are printed or run in order, and rolled back on failure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from shctl.common import debug_log
from shctl.common.rollback import Rollback
from shctl.common.signals import deferred

C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True)
class Step(Generic[C]):
    """One change: `do` makes it completely or not at all, `undo` reverts it.

    With `undo`, an interrupt waits until `do` ends: what takes long in it is interruptible().

    Both get the context passed to run(), so that a plan needs no hypervisor. `action` is a verb
    and `target` its object, such as "create" and "volume web1-sda.img in pool shctl";
    `description` is a sentence for people.
    """

    action: str
    target: str
    description: str
    do: Callable[[C], object]
    undo: Callable[[C], object] | None = None


@dataclass(frozen=True)
class Plan(Generic[T, C]):
    """The target state, and the steps that lead to it."""

    target: T
    steps: tuple[Step[C], ...]


def run(steps: Iterable[Step[C]], context: C) -> None:
    """Run the steps in order; if one fails, roll back those before it, newest first.

    The error names what could not be rolled back.
    """
    with Rollback() as undo:
        for step in steps:
            debug_log.progress(__name__, step.description)
            _run(step, context, undo)


def _run(step: Step[C], context: C, undo: Rollback) -> None:
    if (revert := step.undo) is None:
        step.do(context)
        return
    # An interrupt between do and push would leave a change that is not rolled back.
    with deferred():
        step.do(context)
        undo.push(step.target, lambda: revert(context))
