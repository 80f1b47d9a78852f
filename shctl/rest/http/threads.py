"""The thread pool that runs requests."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from typing import Any

IDLE_TIMEOUT = 2.0  # seconds after which a thread without work ends

_Task = tuple["Future[Any]", Context, Callable[[], Any]]


class RequestThreads(ThreadPoolExecutor):
    """A pool of at most `limit` threads that, unlike the base class's, end when they are idle.

    A function sees the context variables of its submitter. The base class is there because
    loop.set_default_executor accepts no other.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._limit = limit
        self._number = 0
        self._idle = 0
        self._tasks: deque[_Task] = deque()
        self._changed = threading.Condition()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a function in one of the threads."""
        future: Future[Any] = Future()
        with self._changed:
            if len(self._tasks) >= self._idle and self._number < self._limit:
                # Before anything is counted: it raises RuntimeError when the system has no
                # thread left.
                threading.Thread(target=self._run, name="request", daemon=True).start()
                self._number += 1
            self._tasks.append((future, copy_context(), partial(fn, *args, **kwargs)))
            self._changed.notify()
        return future

    def _run(self) -> None:
        while task := self._next():
            _execute(*task)
            # Otherwise the variable keeps the response until the next task comes.
            del task

    def _next(self) -> _Task | None:
        with self._changed:
            self._idle += 1
            found = self._changed.wait_for(lambda: self._tasks, IDLE_TIMEOUT)
            self._idle -= 1
            if found:
                return self._tasks.popleft()
            self._number -= 1
            return None


def _execute(future: "Future[Any]", context: Context, function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = context.run(function)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
