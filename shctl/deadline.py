"""Limit the time of calls that have no limit of their own and cannot be cancelled."""

import threading
from collections.abc import Callable
from typing import TypeVar

from shctl.errors import ShctlError

T = TypeVar("T")


def within(seconds: float, function: Callable[[], T], late: ShctlError) -> T:
    """Run a call in a thread and return its answer, or raise what it raises.

    Raises `late` when there is no answer in time. The call goes on then; its thread is a daemon,
    so that it never keeps the process from ending.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors.pop()
    if answers:
        return answers.pop()
    raise late
