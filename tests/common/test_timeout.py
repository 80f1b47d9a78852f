"""Calls that hang: abandoned in time, and limited in number."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from shctl.common import timeout
from shctl.common.errors import Conflict, TimedOut, Unreachable
from shctl.common.timeout import run_with_timeout
from tests.support import eventually

LATE = TimedOut("late")


@contextmanager
def hanging(number: int) -> Iterator[None]:
    """Let calls hang until the block ends."""
    over = threading.Event()
    for _ in range(number):
        with pytest.raises(TimedOut):
            run_with_timeout(0, over.wait, LATE)
    before = threading.active_count()
    try:
        yield
    finally:
        over.set()
    eventually(lambda: threading.active_count() <= before - number)


def test_results_and_errors_are_passed_on() -> None:
    def refuse() -> None:
        raise Conflict("no")

    assert run_with_timeout(5, lambda: 3, LATE) == 3
    with pytest.raises(Conflict, match="no"):
        run_with_timeout(5, refuse, LATE)


def test_number_of_hung_calls_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeout, "MOST_HUNG", 5)
    with hanging(5), pytest.raises(Unreachable, match="5 calls are already hanging"):
        run_with_timeout(5, lambda: 3, LATE)
    eventually(lambda: timeout._hung.number == 0)
    assert run_with_timeout(5, lambda: 3, LATE) == 3


def refuse_to_start(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_failure_to_start_a_thread_is_a_shctl_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    with pytest.raises(Unreachable, match="cannot start another thread"):
        run_with_timeout(5, lambda: 3, LATE)


class Handle:
    """What a call may hold, such as a connection."""


def _call_that(ends: Callable[[], None]) -> "weakref.ref[Handle]":
    """Abandon a call that holds a handle; return a weak reference to it."""
    handle = Handle()

    def function() -> Handle:
        ends()
        return handle

    # Not pytest.raises, which keeps the error's frames alive.
    with suppress(TimedOut):
        run_with_timeout(0, function, TimedOut("late"))
    return weakref.ref(handle)


@pytest.mark.parametrize("fails", [False, True])
def test_late_call_is_freed_without_garbage_collection(fails: bool) -> None:
    over = threading.Event()

    def end() -> None:
        over.wait()
        if fails:
            raise Conflict("no")

    gc.disable()
    try:
        reference = _call_that(end)
        over.set()
        eventually(lambda: reference() is None)
    finally:
        gc.enable()
