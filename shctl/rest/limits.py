"""Limit how many commands run at the same time, and how long a request waits for one."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from shctl.common import cancellation
from shctl.common.errors import ShctlError, TimedOut, Unreachable
from shctl.common.timeout import begin

T = TypeVar("T")
QUEUE_TIMEOUT = 8.0  # seconds that a request waits for its turn
_CLIENT_CHECK = 1.0  # seconds between checks that the client of a waiting request is connected
QUEUE_PER_RESOURCE = 16  # requests that may wait for one resource
RETRY_AFTER = 5  # seconds


class TooManyRequests(ShctlError):
    """A caller runs as many requests as it may, so that others get their turn."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, caller: str, number: int) -> None:
        super().__init__(
            f"{caller} already has {number} concurrent requests of this kind, which is the limit;"
            f" try again in {RETRY_AFTER} s or when one of them ends"
        )
        self.headers = {"Retry-After": str(RETRY_AFTER)}


class ConcurrencyLimit:
    """Runs at most `total` commands, of them `per_resource` and `per_caller`.

    At most `queue` requests more wait for their turn. A call into a hung libvirt or guest cannot
    be cancelled and counts until it returns, so these numbers are also how many calls may hang
    before requests are refused.
    """

    def __init__(self, total: int, per_resource: int, per_caller: int, queue: int) -> None:
        self.total = total
        self.per_resource = per_resource
        self.per_caller = per_caller
        self.queue = queue
        self._changed = threading.Condition()
        # By resource, by resource, and by caller.
        self._running: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._callers: Counter[str] = Counter()

    def run(self, resource: str, caller: str, seconds: float, function: Callable[[], T]) -> T:
        """Run a command on a resource such as "hosts/web1"; an empty one has no limit of its own.

        Raises TimedOut after `seconds`, Unreachable when its turn does not come in time,
        TooManyRequests for this caller, and ClientGone when the client disconnects while it waits.
        """
        self._acquire(resource, caller)

        def run_and_release() -> T:
            try:
                return function()
            finally:
                self._release(resource, caller)

        try:
            call = begin(run_and_release)
        except BaseException:
            self._release(resource, caller)
            raise
        late = (
            f"no result within {seconds:g} s; the command still runs, so check before repeating it"
        )
        return call.result(seconds, TimedOut(late))

    def _acquire(self, resource: str, caller: str) -> None:
        with self._changed:
            if self._callers[caller] >= self.per_caller:
                raise TooManyRequests(caller, self.per_caller)
            # Waiting requests count as well, so that no caller can fill the queue.
            self._callers[caller] += 1
            self._waiting[resource] += 1
            try:
                self._wait(resource)
            except BaseException:
                self._callers[caller] -= 1
                raise
            finally:
                self._waiting[resource] -= 1
            self._running[resource] += 1

    def _wait(self, resource: str) -> None:
        end = time.monotonic() + QUEUE_TIMEOUT
        while not self._may_run(resource):
            cancellation.check()
            left = end - time.monotonic()
            full = self._waiting.total() > self.queue
            if left <= 0 or full or (resource and self._waiting[resource] > QUEUE_PER_RESOURCE):
                about = f" for {resource}" if resource and not full else ""
                raise Unreachable(f"too many requests{about} are running; try again later")
            self._changed.wait(min(left, _CLIENT_CHECK))

    def _may_run(self, resource: str) -> bool:
        limit = self.per_resource if resource else self.total
        return self._running.total() < self.total and self._running[resource] < limit

    def _release(self, resource: str, caller: str) -> None:
        with self._changed:
            self._running[resource] -= 1
            self._callers[caller] -= 1
            # Adding an empty Counter drops keys whose count is 0.
            self._running += Counter()
            self._callers += Counter()
            self._waiting += Counter()
            self._changed.notify_all()


# Not a ConcurrencyLimit: nothing waits for its turn here.
class StreamLimit:
    """Counts the responses that go on, which cost a connection but no thread."""

    def __init__(self, total: int, per_caller: int) -> None:
        self.total = total
        self.per_caller = per_caller
        self._lock = threading.Lock()
        self._callers: Counter[str] = Counter()

    def acquire(self, caller: str) -> Callable[[], None]:
        """Count a stream; return what ends it. Raise TooManyRequests, Unreachable."""
        with self._lock:
            if self._callers[caller] >= self.per_caller:
                raise TooManyRequests(caller, self.per_caller)
            if self._callers.total() >= self.total:
                raise Unreachable("too many clients follow events or logs; try again later")
            self._callers[caller] += 1
        return partial(self._release, caller)

    def _release(self, caller: str) -> None:
        with self._lock:
            self._callers[caller] -= 1
            self._callers += Counter()
