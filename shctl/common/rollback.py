"""Roll back what was done if a later step fails."""

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from shctl.common.errors import ShctlError
from shctl.common.signals import deferred

T = TypeVar("T")


class Rollback:
    """A stack of steps that run, newest first, if the block fails.

    If one of them fails, the others still run, and the error names what is left behind.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []

    def push(self, what: str, step: Callable[[], object]) -> None:
        """Add a step; `what` names what is left behind if the step fails."""
        self._steps.append((what, step))

    def make(self, what: str, make: Callable[[], T], remove: Callable[[T], object]) -> T:
        """Make something and add the step that removes it, with no interrupt in between."""
        with deferred():
            made = make()
            self.push(what, lambda: remove(made))
        return made

    def __enter__(self) -> "Rollback":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            return
        left = self._roll_back()
        if not left:
            return
        what = str(error) or "interrupted"
        message = f"{what}; left behind: {', '.join(left)} ('shctl doctor' lists it)"
        if isinstance(error, ShctlError):
            # The same class keeps its exit code and HTTP status.
            raise type(error)(message, field=error.field) from error
        raise ShctlError(message) from error

    def _roll_back(self) -> list[str]:
        """Run the steps, newest first; return the names of what is left behind."""
        left: list[str] = []
        # A second Ctrl-C must not stop a rollback that has begun.
        with suppress(KeyboardInterrupt), deferred():
            for what, step in reversed(self._steps):
                if not _run(step):
                    left.append(what)
        return left


def _run(step: Callable[[], object]) -> bool:
    """Run a step; return False if it fails."""
    try:
        step()
    # Anything else is a bug, and its traceback is worth more than the rest of the rollback.
    except (ShctlError, OSError, KeyboardInterrupt):
        return False
    return True
