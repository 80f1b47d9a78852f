"""Run commands under a deadline, so that what hangs holds up nothing else."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from shctl.deadline import within
from shctl.errors import TimedOut, Unreachable

T = TypeVar("T")
PATIENCE = 1.0  # seconds to wait for a place


class Work:
    """The commands under way: at most `most`, and at most `each` of them about one subject.

    A call into a hung libvirt or guest cannot be taken back. It keeps its place until it returns,
    and these numbers say how many may be stuck before others are turned away.
    """

    def __init__(self, most: int, each: int) -> None:
        self.most = most
        self.each = each
        self._places = threading.Condition()
        self._taken: Counter[str] = Counter()

    def run(self, subject: str, seconds: float, function: Callable[[], T]) -> T:
        """Run a command about a subject, or about none of the hosts where that is empty.

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
        end = time.monotonic() + PATIENCE
        with self._places:
            while not self._has_place(subject):
                if not self._places.wait(end - time.monotonic()):
                    about = f" about {subject!r}" if subject else ""
                    raise Unreachable(f"too many requests{about} are under way; try again")
            self._taken[subject] += 1

    def _has_place(self, subject: str) -> bool:
        most_of_it = self.each if subject else self.most
        return self._taken.total() < self.most and self._taken[subject] < most_of_it

    def _leave(self, subject: str) -> None:
        with self._places:
            self._taken[subject] -= 1
            self._taken += Counter()  # forgets subjects that have none left
            self._places.notify_all()
