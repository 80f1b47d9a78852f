"""The connections of clients: at most so many on each listener, and room made by closing idle ones.

The caps leave descriptors for what requests need, and a share for the Unix socket.
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
_FEWEST, _MOST = 8, 4096
_BACKLOG = 1024  # connections that wait to be accepted
# Connections that are accepted before the event loop turns to others: a client's request is read
# before those who come after it could drive it out.
AT_ONCE = 8
_PAUSE = 0.5  # seconds without a try after there was no descriptor; asyncio waits for 1 s
_LEAVING = 0.1  # seconds that connections take at most to go once they were shut down
_PART = 16  # that part of a full listener's connections makes room at once


class Connection(socket.socket):
    """A client's connection; `busy` counts its requests of somebody who may make them."""

    def __init__(self, listener: "Listener", descriptor: int) -> None:
        super().__init__(fileno=descriptor)
        self._listener = listener
        self.busy = 0
        self.peer = ""
        if self.family == socket.AF_UNIX:
            credentials = self.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            self.peer = f"uid {struct.unpack('3i', credentials)[1]}"

    def close(self) -> None:
        """Close the connection, and make its place free."""
        self._listener.forget(self)
        super().close()

    def hang_up(self) -> None:
        """End the connection; the event loop closes it then."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)


# The connection that the current task serves. asyncio starts a connection's task right after
# accept, so that task inherits the note.
current: ContextVar[Connection | None] = ContextVar("current", default=None)


def has_left() -> bool:
    """Return whether the client that the current task serves has closed its connection."""
    connection = current.get()
    if connection is None:
        return False
    if connection.fileno() < 0:
        return True
    look = select.poll()
    look.register(connection, select.POLLRDHUP)
    return bool(look.poll(0))


@contextmanager
def in_use() -> Iterator[None]:
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
    """A listening socket that has at most `most` connections at once."""

    most = _MOST

    def __init__(
        self,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
        proto: int = 0,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, kind, proto, fileno)
        # The oldest comes first. Weak, for a transport that fails forgets to close its socket.
        self._open: WeakValueDictionary[int, Connection] = WeakValueDictionary()
        self._leaving: set[int] = set()
        self._hung_up = self._exhausted = float("-inf")

    def listen(self, _: int = 0) -> None:
        """Listen; clients of a Unix socket that do not fit in here are turned away by Linux."""
        super().listen(_BACKLOG)

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection; asyncio tries again after BlockingIOError and its like."""
        if time.monotonic() - self._exhausted < _PAUSE:
            raise BlockingIOError
        if len(self._open) >= self.most:
            self._make_room()
        try:
            accepted, address = super().accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._exhausted = time.monotonic()
            raise
        connection = Connection(self, accepted.detach())
        if len(self._open) >= self.most:
            connection.close()
            raise ConnectionAbortedError
        self._open[id(connection)] = connection
        current.set(connection)
        return connection, address

    def forget(self, connection: Connection) -> None:
        """Count a connection no longer."""
        self._open.pop(id(connection), None)
        self._leaving.discard(id(connection))

    def _make_room(self) -> None:
        """Hang up on the oldest idle connections; without any, whoever comes is refused."""
        if self._leaving and time.monotonic() - self._hung_up < _LEAVING:
            raise BlockingIOError
        text = "%s has %d connections, as many as it may; idle ones are closed"
        logging.getLogger("loop").warning(text, self.getsockname(), self.most)
        idle = (one for one in self._open.values() if not one.busy)
        oldest = list(islice(idle, 1 + self.most // _PART))
        self._leaving = {id(one) for one in oldest}
        self._hung_up = time.monotonic()
        for one in oldest:
            one.hang_up()
        if oldest:
            # They go in the event loop's next turns.
            raise BlockingIOError


def share_out(listeners: Sequence[Listener]) -> None:
    """Give each listener its part of the descriptors that this process may have."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for unix, share in _SHARES.items():
        some = [one for one in listeners if (one.family == socket.AF_UNIX) == unix]
        for one in some:
            part = int(limit * share) // len(some)
            one.most = _MOST if limit < 0 else min(max(part, _FEWEST), _MOST)
