"""Limit the time of calls that have no limit of their own and cannot be cancelled."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

from shctl.common.errors import ShctlError, Unreachable

T = TypeVar("T")
# Each one uses a thread, and usually a connection to libvirt, until it returns.
MOST_HUNG = 200


class _Hung:
    """The calls that timed out and have not returned yet."""

    def __init__(self) -> None:
        self.number = 0
        self.lock = threading.Lock()


_hung = _Hung()


class Call(Generic[T]):
    """A call in a thread of its own."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._answers: list[T] = []
        self._errors: list[BaseException] = []
        self._abandoned = False
        self._done = threading.Event()

    def start(self) -> None:
        """Start the call, with the caller's context variables."""
        threading.Thread(target=copy_context().run, args=(self._run,), daemon=True).start()

    def _run(self) -> None:
        try:
            self._answers.append(self._function())
        # The thread that waits for the result raises it.
        except BaseException as error:
            self._errors.append(error)
        # Frees what the function refers to, such as a connection, without waiting for the garbage
        # collector: an error and the frames of its traceback refer to each other.
        del self._function
        with _hung.lock:
            self._done.set()
            if self._abandoned:
                _hung.number -= 1
                self._errors.clear()
                self._answers.clear()

    @property
    def finished(self) -> bool:
        """Return whether the call has returned or raised, perhaps after its timeout."""
        return self._done.is_set()

    def result(self, seconds: float, on_timeout: ShctlError) -> T:
        """Return what the call has returned, raise what it has raised, or raise `on_timeout`.

        After a timeout the call continues; its thread is a daemon thread, so it does not keep the
        process alive.
        """
        try:
            if self._is_late(seconds):
                raise on_timeout
        finally:
            # Breaks the reference cycle of the error and this frame.
            del on_timeout
        if self._errors:
            raise self._errors.pop()
        return self._answers.pop()

    def _is_late(self, seconds: float) -> bool:
        """Return whether the call has timed out after `seconds`; it is abandoned then."""
        if self._done.wait(seconds):
            return False
        with _hung.lock:
            self._abandoned = not self._done.is_set()
            _hung.number += self._abandoned
            return self._abandoned


def begin(function: Callable[[], T]) -> Call[T]:
    """Start a call in a thread; raise Unreachable if too many calls hang, or without threads."""
    if _hung.number >= MOST_HUNG:
        raise Unreachable(
            f"{MOST_HUNG} calls are already hanging; check that libvirtd is responding"
        )
    call = Call(function)
    try:
        call.start()
    except RuntimeError as error:
        raise Unreachable("cannot start another thread; try again") from error
    return call


def run_with_timeout(seconds: float, function: Callable[[], T], on_timeout: ShctlError) -> T:
    """Run a call in a thread and return its answer, or raise what it raises.

    Raise `on_timeout` if it does not return in time, and what begin raises.
    """
    try:
        return begin(function).result(seconds, on_timeout)
    finally:
        # See Call.result.
        del on_timeout
