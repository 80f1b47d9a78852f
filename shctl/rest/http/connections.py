"""Client connections: a limit for each listener, kept by closing idle connections.

The limits leave descriptors for what requests need, and a share for the Unix socket.
"""

import errno
import logging
import resource
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import islice
from weakref import WeakValueDictionary

_SHARES = {True: 3 / 8, False: 1 / 4}  # of all descriptors, for Unix and for TCP
_MIN_CONNECTIONS, _MAX_CONNECTIONS = 8, 4096
_BACKLOG = 1024  # connections that wait to be accepted
# Connections that are accepted in one turn of the event loop: few, so that a client's request is
# read before later clients can have its connection closed.
ACCEPT_BATCH = 8
_RETRY_DELAY = 0.5  # seconds without accept() after EMFILE; asyncio waits for 1 s
_CLOSE_TIME = 0.1  # seconds in which the event loop closes connections that were shut down
_BATCH_PART = 16  # a full listener closes this fraction of its connections at once


class ClientConnection(socket.socket):
    """A client's connection; `busy` counts its running requests that had valid credentials."""

    def __init__(self, listener: "Listener", descriptor: int) -> None:
        super().__init__(fileno=descriptor)
        self._listener = listener
        self.busy = 0
        self.peer = ""
        if self.family == socket.AF_UNIX:
            # struct ucred: pid, uid, gid, see unix(7).
            credentials = self.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            self.peer = f"uid {struct.unpack('3i', credentials)[1]}"

    def close(self) -> None:
        """Close the connection, and no longer count it."""
        self._listener.forget(self)
        super().close()

    def disconnect(self) -> None:
        """Shut the connection down; the event loop then closes it."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)


# The connection that the current task serves. asyncio creates a connection's task right after
# accept(), so that the task inherits the value.
current: ContextVar[ClientConnection | None] = ContextVar("current", default=None)


def client_disconnected() -> bool:
    """Return whether the client of the current task has closed its connection."""
    connection = current.get()
    if connection is None:
        return False
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    # POLLRDHUP also reports a client that closed only its sending half, see poll(2).
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


@contextmanager
def mark_busy() -> Iterator[None]:
    """Keep the current connection from being closed to make room for others."""
    connection = current.get()
    if connection is None:
        yield
        return
    connection.busy += 1
    try:
        yield
    finally:
        connection.busy -= 1


class Listener(socket.socket):
    """A listening socket that has at most `limit` connections at the same time."""

    limit = _MAX_CONNECTIONS

    def __init__(
        self,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
        proto: int = 0,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, kind, proto, fileno)
        # In the order of arrival. Weak, because a transport that fails does not close its socket.
        self._open: WeakValueDictionary[int, ClientConnection] = WeakValueDictionary()
        self._closing: set[int] = set()
        self._disconnected_at = self._exhausted_at = float("-inf")

    def listen(self, _: int = 0) -> None:
        """Listen, with a backlog of shctl's own; Hypercorn's argument is ignored."""
        super().listen(_BACKLOG)

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection; asyncio tries again after BlockingIOError and its like."""
        if time.monotonic() - self._exhausted_at < _RETRY_DELAY:
            raise BlockingIOError
        if len(self._open) >= self.limit:
            self._close_idle()
        try:
            accepted, address = super().accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._exhausted_at = time.monotonic()
            raise
        connection = ClientConnection(self, accepted.detach())
        if len(self._open) >= self.limit:
            connection.close()
            raise ConnectionAbortedError
        self._open[id(connection)] = connection
        current.set(connection)
        return connection, address

    def forget(self, connection: ClientConnection) -> None:
        """No longer count a connection."""
        self._open.pop(id(connection), None)
        self._closing.discard(id(connection))

    def _close_idle(self) -> None:
        """Disconnect the oldest idle clients; without any, the new connection is refused."""
        if self._closing and time.monotonic() - self._disconnected_at < _CLOSE_TIME:
            raise BlockingIOError
        text = "%s has reached its limit of %d connections; closing idle ones"
        logging.getLogger("loop").warning(text, self.getsockname(), self.limit)
        idle = (one for one in self._open.values() if not one.busy)
        oldest = list(islice(idle, 1 + self.limit // _BATCH_PART))
        self._closing = {id(one) for one in oldest}
        self._disconnected_at = time.monotonic()
        for one in oldest:
            one.disconnect()
        if oldest:
            # The event loop has to turn before they are closed.
            raise BlockingIOError


def set_limits(listeners: Sequence[Listener]) -> None:
    """Give each listener its share of this process's descriptors."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for unix, share in _SHARES.items():
        group = [one for one in listeners if (one.family == socket.AF_UNIX) == unix]
        for one in group:
            part = max(int(descriptors * share) // len(group), _MIN_CONNECTIONS)
            unlimited = descriptors == resource.RLIM_INFINITY
            one.limit = _MAX_CONNECTIONS if unlimited else min(part, _MAX_CONNECTIONS)
