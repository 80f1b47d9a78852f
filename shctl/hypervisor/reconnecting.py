"""One libvirt connection, which is opened when it is used and again after it was lost."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from shctl.common.errors import ShctlError, Unreachable
from shctl.common.timeout import run_with_timeout
from shctl.hypervisor.binding import api, prepare, translated
from shctl.hypervisor.shared_events import SharedEvents

OPEN_TIMEOUT = 10.0  # seconds
KEEPALIVE = (5, 2)  # seconds between probes, probes that may stay unanswered
# Opening a connection to a stuck daemon cannot be cancelled, so the number of attempts is limited.
_opening = threading.Semaphore(16)


# Registers callbacks for events; returns functions that deregister them.
Registration = Callable[[SharedEvents], list[Callable[[], object]]]


class Reconnecting:
    """A libvirt connection that opens at its first use, and again after it was lost.

    A read-only one needs fewer permissions, and changes nothing.
    """

    def __init__(
        self, uri: str, *, open_timeout: float = OPEN_TIMEOUT, read_only: bool = False
    ) -> None:
        self.uri = uri
        self.open_timeout = open_timeout
        self.read_only = read_only
        self._opened: Any = None
        self._events = SharedEvents(None)
        self._lock = threading.Lock()
        self._registrations: list[Registration] = []
        self._deregister: dict[Registration, list[Callable[[], object]]] = {}

    @property
    def connection(self) -> Any:
        """Return the connection; open it at its first use, and again if it was lost.

        Raises Unreachable when that fails or takes too long.
        """
        opened = self._opened
        if opened is not None and _is_alive(opened):
            return opened
        if not self._lock.acquire(timeout=self.open_timeout):
            raise Unreachable(self._late())
        try:
            if self.lost:
                self._forget()
            if self._opened is None:
                self._opened = self._open()
            return self._opened
        finally:
            self._lock.release()

    @property
    def lost(self) -> bool:
        """Return whether the connection was opened and lost."""
        opened = self._opened
        return opened is not None and not _is_alive(opened)

    def close(self) -> None:
        """Close the connection; it opens again at its next use."""
        opened = self._opened
        self._forget()
        if opened is not None and _is_alive(opened):
            with suppress(ShctlError), translated("cannot close the connection"):
                opened.close()

    def _forget(self) -> None:
        """Drop the connection; it closes when the last call in another thread returns."""
        _, self._opened = self._opened, None
        # libvirt does not close a connection that has callbacks.
        for registration in list(self._deregister):
            self._end(registration)

    def _open(self) -> Any:
        prepare()
        what = f"cannot reach libvirt at {self.uri}"
        opener = api.openReadOnly if self.read_only else api.open

        def connect() -> Any:
            if not _opening.acquire(timeout=self.open_timeout):
                raise Unreachable(self._late())
            try:
                return opener(self.uri)
            finally:
                _opening.release()

        try:
            with translated(what):
                connection = run_with_timeout(self.open_timeout, connect, Unreachable(self._late()))
                self._set_up(connection)
        except ShctlError as error:
            raise Unreachable(error.detail) from error
        return connection

    def _late(self) -> str:
        within = f"no response within {self.open_timeout:g} s"
        return f"cannot reach libvirt at {self.uri}: {within}; is libvirtd stuck?"

    def _set_up(self, connection: Any) -> None:
        # The test driver has no keepalive.
        with suppress(ShctlError), translated("cannot set up keepalive"):
            connection.setKeepAlive(*KEEPALIVE)
        self._events = SharedEvents(connection)
        for registration in self._registrations:
            self._deregister[registration] = registration(self._events)

    def register(self, registration: Registration) -> None:
        """Register callbacks for events now if the connection is open, and whenever it opens.

        `registration` gets the connection's events, and returns functions that deregister them.
        """
        # Another thread may be opening the connection.
        with self._lock:
            self._registrations.append(registration)
            opened = self._opened
            if opened is not None and _is_alive(opened):
                with translated("cannot register for events"):
                    self._deregister[registration] = registration(self._events)

    def deregister(self, registration: Registration) -> None:
        """Call no more callbacks of a registration."""
        self._registrations.remove(registration)
        self._end(registration)

    def _end(self, registration: Registration) -> None:
        for end in self._deregister.pop(registration, ()):
            with suppress(ShctlError), translated("cannot deregister an event"):
                end()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call a function whenever a domain is defined, started, stopped or undefined."""
        self.register(lambda events: _register_lifecycle(events, watcher))

    @contextmanager
    def watching(self) -> Iterator[threading.Event]:
        """Yield an event that is set whenever a domain's state or metadata change."""
        changed = threading.Event()

        def registration(events: SharedEvents) -> list[Callable[[], object]]:
            changed.set()  # of what happened before, nothing is known
            return _register_lifecycle(events, changed.set)

        self.register(registration)
        try:
            yield changed
        finally:
            self.deregister(registration)


def _register_lifecycle(
    events: SharedEvents, act: Callable[[], None]
) -> list[Callable[[], object]]:
    kinds = (api.VIR_DOMAIN_EVENT_ID_LIFECYCLE, api.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE)
    return [events.on_domain(kind, lambda *_: act()) for kind in kinds]


def _is_alive(connection: Any) -> bool:
    # No call to the daemon: libvirt knows from keepalive and from the end of the stream.
    with suppress(ShctlError), translated("cannot check the connection"):
        return bool(connection.isAlive())
    return False
