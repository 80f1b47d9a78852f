"""Run commands under a deadline, so that what hangs holds up nothing else."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from shctl.common import cancellation
from shctl.common.errors import ShctlError, TimedOut, Unreachable
from shctl.common.timeout import begin

T = TypeVar("T")
PATIENCE = 8.0  # seconds to wait for a place
_LOOK = 1.0  # seconds between looks whether whoever waits for a place is still there
QUEUE = 16  # requests about one subject that may wait for a place


class TooMany(ShctlError):
    """Somebody has so many requests under way that others would be kept from theirs."""

    status = 429
    title = "Too many requests"

    def __init__(self, caller: str, number: int) -> None:
        super().__init__(f"{caller} has {number} such requests under way; try again when one ends")
        self.headers = {"Retry-After": "5"}


class Work:
    """The commands under way: at most `most`, and at most `each` of them about one subject.

    One caller has at most `own` of them. At most `queue` more wait for a place. A call into a hung
    libvirt or guest cannot be taken back. It keeps its place until it returns, and these numbers
    say how many may be stuck before others are turned away.
    """

    def __init__(self, most: int, each: int, own: int, queue: int) -> None:
        self.most = most
        self.each = each
        self.own = own
        self.queue = queue
        self._places = threading.Condition()
        self._taken: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._callers: Counter[str] = Counter()

    def run(self, subject: str, caller: str, seconds: float, function: Callable[[], T]) -> T:
        """Run a command about a subject, or about none in particular where that is empty.

        Raises TimedOut when `seconds` are over, Unreachable when there is no place, TooMany when
        the caller has too many, Left when they have left before there was one.
        """
        self._enter(subject, caller)

        def and_leave() -> T:
            try:
                return function()
            finally:
                self._leave(subject, caller)

        try:
            call = begin(and_leave)
        except BaseException:
            self._leave(subject, caller)
            raise
        late = f"no answer within {seconds:g} s; what was begun goes on, so look before repeating"
        return call.within(seconds, TimedOut(late))

    def _enter(self, subject: str, caller: str) -> None:
        with self._places:
            if self._callers[caller] >= self.own:
                raise TooMany(caller, self.own)
            # From here on, so that nobody fills the queue either.
            self._callers[caller] += 1
            self._waiting[subject] += 1
            try:
                self._await_place(subject)
            except BaseException:
                self._callers[caller] -= 1
                raise
            finally:
                self._waiting[subject] -= 1
            self._taken[subject] += 1

    def _await_place(self, subject: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self._has_place(subject):
            cancellation.check()
            left = end - time.monotonic()
            crowded = self._waiting.total() > self.queue
            if left <= 0 or crowded or (subject and self._waiting[subject] > QUEUE):
                about = f" about {subject}" if subject and not crowded else ""
                raise Unreachable(f"too many requests{about} are under way; try again")
            self._places.wait(min(left, _LOOK))

    def _has_place(self, subject: str) -> bool:
        each = self.each if subject else self.most
        return self._taken.total() < self.most and self._taken[subject] < each

    def _leave(self, subject: str, caller: str) -> None:
        with self._places:
            self._taken[subject] -= 1
            self._callers[caller] -= 1
            # Forgets subjects and callers of which there are none left.
            self._taken += Counter()
            self._callers += Counter()
            self._waiting += Counter()
            self._places.notify_all()
