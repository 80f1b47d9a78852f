"""Run commands under a deadline, so that what hangs holds up nothing else."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from shctl.deadline import within
from shctl.errors import TimedOut, Unreachable

T = TypeVar("T")
PATIENCE = 8.0  # seconds to wait for a place
QUEUE = 16  # requests about one subject that may wait for a place


class Work:
    """The commands under way: at most `most`, and at most `each` of them about one subject.

    At most `queue` more wait for a place. A call into a hung libvirt or guest cannot be taken back.
    It keeps its place until it returns, and these numbers say how many may be stuck before others
    are turned away.
    """

    def __init__(self, most: int, each: int, queue: int) -> None:
        self.most = most
        self.each = each
        self.queue = queue
        self._places = threading.Condition()
        self._taken: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    def run(self, subject: str, seconds: float, function: Callable[[], T]) -> T:
        """Run a command about a subject, or about none in particular where that is empty.

        Raises TimedOut when `seconds` are over, Unreachable when there is no place.
        """
        self._enter(subject)

        def and_leave() -> T:
            try:
                return function()
            finally:
                self._leave(subject)

        late = f"no answer within {seconds:g} s; what was begun goes on, so look before repeating"
        return within(seconds, and_leave, TimedOut(late))

    def _enter(self, subject: str) -> None:
        with self._places:
            self._waiting[subject] += 1
            try:
                self._await_place(subject)
            finally:
                self._waiting[subject] -= 1
            self._taken[subject] += 1

    def _await_place(self, subject: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self._has_place(subject):
            left = end - time.monotonic()
            crowded = self._waiting.total() > self.queue
            if left <= 0 or crowded or (subject and self._waiting[subject] > QUEUE):
                about = f" about {subject}" if subject and not crowded else ""
                raise Unreachable(f"too many requests{about} are under way; try again")
            self._places.wait(left)

    def _has_place(self, subject: str) -> bool:
        each = self.each if subject else self.most
        return self._taken.total() < self.most and self._taken[subject] < each

    def _leave(self, subject: str) -> None:
        with self._places:
            self._taken[subject] -= 1
            # Forgets subjects of which there are none left.
            self._taken += Counter()
            self._waiting += Counter()
            self._places.notify_all()
