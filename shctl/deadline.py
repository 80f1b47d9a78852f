"""Limit the time of calls that have no limit of their own and cannot be cancelled."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

from shctl.errors import ShctlError

T = TypeVar("T")


def within(seconds: float, function: Callable[[], T], late: ShctlError) -> T:
    """Run a call in a thread and return its answer, or raise what it raises.

    Raises `late` when there is no answer in time. The call goes on then; its thread is a daemon,
    so that it never keeps the process from ending.
    """
    answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((function(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except Empty:
        raise late from None
    if error:
        raise error
    return answer  # type: ignore[return-value]
