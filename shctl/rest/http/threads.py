"""The threads that take requests."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from typing import Any

IDLE = 2.0  # seconds after which a thread without work ends

_Task = tuple["Future[Any]", Context, Callable[[], Any]]


class Threads(ThreadPoolExecutor):
    """At most so many threads, which end when there is no work, unlike the base class's.

    Work sees the context variables of whoever submits it. asyncio takes no other class.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._most = most
        self._number = 0
        self._idle = 0
        self._tasks: deque[_Task] = deque()
        self._changed = threading.Condition()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a function in one of the threads."""
        future: Future[Any] = Future()
        with self._changed:
            if len(self._tasks) >= self._idle and self._number < self._most:
                # First, for it fails where the system has no thread left.
                threading.Thread(target=self._run, name="request", daemon=True).start()
                self._number += 1
            self._tasks.append((future, copy_context(), partial(fn, *args, **kwargs)))
            self._changed.notify()
        return future

    def _run(self) -> None:
        while task := self._next():
            _do(*task)
            # Or it would be kept until the next one comes.
            del task

    def _next(self) -> _Task | None:
        with self._changed:
            self._idle += 1
            found = self._changed.wait_for(lambda: self._tasks, IDLE)
            self._idle -= 1
            if found:
                return self._tasks.popleft()
            self._number -= 1
            return None


def _do(future: "Future[Any]", context: Context, function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = context.run(function)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
