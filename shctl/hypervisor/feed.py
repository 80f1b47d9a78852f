"""A feed of what happens to hosts and networks, by any program.

libvirt's events come as they happen. What happened while the connection was lost is found by
comparing the hosts and networks with those known before, so that no follower misses a change of
state. The feed keeps the newest events, for followers that come back.
"""

import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from secrets import token_hex

from shctl.common import debug_log
from shctl.common.clock import now
from shctl.common.errors import ShctlError
from shctl.common.rows import Event
from shctl.common.stream import Stream
from shctl.hypervisor import callbacks
from shctl.hypervisor.callbacks import Notice
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.shared_events import SharedEvents
from shctl.hypervisor.tracking import Change, Tracker

SIZE = 1000  # events that are kept
_CHECK = 1.0  # seconds between checks of the connection, and of addresses
RESET = "reset"  # the event of a follower that has missed some


class Feed:
    """The events of one hypervisor; it starts with its first follower."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self._tracker = Tracker(hypervisor)
        # Without it, the ID of an event of an earlier process would be taken for one of this.
        self._run_id = token_hex(4)
        self._events: deque[Event] = deque(maxlen=SIZE)
        self._last = 0
        self._notices: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], object]] = set()
        self._ready = threading.Event()
        self._started = False

    def start(self) -> None:
        """Start to listen, and return once nothing is missed any more; raise Unreachable."""
        with self._lock:
            if not self._started:
                # Raises Unreachable here, not in the thread.
                _ = self._hypervisor.connection
                self._hypervisor.register(self._register)
                threading.Thread(target=self._run, name="events", daemon=True).start()
                self._started = True
        self._ready.wait()
        debug_log.progress(__name__, "Listening to the events of libvirt.")

    def follow(
        self, host: str | None = None, after: str | None = None, *, once: bool = False
    ) -> "Follower":
        """Return a follower of all events from now on, or of those after an ID.

        With `once` it ends after the first event. Raise Unreachable.
        """
        self.start()
        return Follower(self, host, after, once=once)

    def after(self, number: int) -> tuple[list[Event], int]:
        """Return the events after a number, and the number of the newest."""
        with self._lock:
            missing = self._last - number
            return list(self._events)[-missing:] if missing > 0 else [], self._last

    def position(self, event_id: str | None) -> int | None:
        """Return the number of an event; None if events after it may be lost."""
        if event_id is None:
            return self._last
        run, _, number = event_id.rpartition("-")
        if run != self._run_id or not re.fullmatch("[0-9]{1,15}", number):
            return None
        oldest = self._last - len(self._events)
        return int(number) if oldest <= int(number) <= self._last else None

    def id(self, number: int) -> str:
        """Return the ID of an event."""
        return f"{self._run_id}-{number}"

    @property
    def newest(self) -> int:
        """Return the number of the newest event."""
        return self._last

    def add_waker(self, wake: Callable[[], object]) -> None:
        """Call a function whenever there is an event, in the thread of the feed."""
        self._wakers.add(wake)

    def remove_waker(self, wake: Callable[[], object]) -> None:
        """Call the function no more."""
        self._wakers.discard(wake)

    def _register(self, events: SharedEvents) -> list[Callable[[], object]]:
        ends = callbacks.register(events, self._notices.put)
        # What happened before is found by a comparison.
        self._notices.put(None)
        return ends

    def _run(self) -> None:
        while True:
            with suppress(ShctlError):  # libvirt is away; the comparison comes afterwards
                self._publish(self._next_changes())

    def _next_changes(self) -> Iterable[Change]:
        try:
            notice = self._notices.get(timeout=_CHECK)
        except queue.Empty:
            if self._hypervisor.lost:
                _ = self._hypervisor.connection  # opens it again, which registers again
            return self._tracker.new_addresses()
        if notice is not None:
            return self._tracker.changes_of(notice)
        try:
            return self._tracker.compare()
        except ShctlError:
            self._notices.put(None)
            raise
        finally:
            self._ready.set()

    def _publish(self, changes: Iterable[Change]) -> None:
        for change in changes:
            with self._lock:
                self._last += 1
                is_host = change.kind == "host"
                self._events.append(
                    Event(
                        self.id(self._last), now(), f"{change.kind}.{change.what}",
                        change.name if is_host else None, None if is_host else change.name,
                        change.uuid, change.detail,
                    )
                )  # fmt: skip
            for wake in tuple(self._wakers):
                wake()


class Follower(Stream[Event]):
    """One who reads the feed; a slow one misses events, and gets one that says so."""

    media_type = "text/event-stream"

    def __init__(
        self, feed: Feed, host: str | None, after: str | None, *, once: bool = False
    ) -> None:
        self._feed = feed
        self._host = host
        self._once = once
        self._ended = False
        position = feed.position(after)
        self._is_lost = position is None
        self._position = feed.newest if position is None else position

    def take(self) -> list[Event] | None:
        """Return the events since the last call, without waiting."""
        if self._ended:
            return None
        found = self._take()
        self._ended = self._once and bool(found)
        return found[:1] if self._once else found

    def _take(self) -> list[Event]:
        begin = self._position
        is_lost = self._is_lost or feed_lost(self._feed, begin)
        events, self._position = self._feed.after(begin)
        self._is_lost = False
        found = [event for event in events if self._host in (None, event.host)]
        return [self._reset(begin), *found] if is_lost else found

    def on_change(self, wake: Callable[[], object]) -> Callable[[], object]:
        """Call a function with each event."""
        self._feed.add_waker(wake)
        return lambda: self._feed.remove_waker(wake)

    def _reset(self, position: int) -> Event:
        text = "events before this one are lost"
        return Event(self._feed.id(position), now(), RESET, None, None, None, text)


def feed_lost(feed: Feed, position: int) -> bool:
    """Return whether the event after a position is no longer kept."""
    return feed.position(feed.id(position)) is None
