"""Take back what was done when a later step fails."""

from collections.abc import Callable
from types import TracebackType

from shctl.errors import ShctlError


class Undo:
    """A stack of steps that take back earlier ones, newest first, if the block fails.

    A step that fails does not stop the others; what it was to take back is added to the error.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []

    def push(self, what: str, step: Callable[[], object]) -> None:
        """Add a step; `what` names the thing that stays if the step fails."""
        self._steps.append((what, step))

    def __enter__(self) -> "Undo":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            return
        left = [what for what, step in reversed(self._steps) if not _done(step)]
        if not left:
            return
        message = f"{error}; left behind: {', '.join(left)} ('shctl doctor' lists it)"
        if isinstance(error, ShctlError):
            raise type(error)(message, field=error.field) from error
        raise ShctlError(message) from error


def _done(step: Callable[[], object]) -> bool:
    try:
        step()
    except (ShctlError, OSError):
        return False
    return True
