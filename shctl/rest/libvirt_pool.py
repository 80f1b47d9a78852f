"""A pool of libvirt connections, each of which serves one request at a time.

libvirtd runs five calls of one connection at a time and queues the others (max_client_requests in
libvirtd.conf), so five calls into a guest that hangs would block all requests that share it.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from shctl.common.errors import TimedOut
from shctl.hypervisor.connection import Hypervisor

_MAX_IDLE = 8
_IDLE_TIMEOUT = 3.0  # seconds after which an idle connection is closed; one stays open


class ConnectionPool:
    """Open connections that are idle; a request that finds none opens another."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        # With the time when each was returned. Used as a stack, so that the others become old.
        self._idle: deque[tuple[float, Hypervisor]] = deque()
        self._lock = threading.Lock()
        self._closing = False

    @contextmanager
    def borrow(self) -> Iterator[Hypervisor]:
        """Yield a hypervisor for exclusive use; it opens its connection again if that is lost."""
        hypervisor = self._acquire()
        try:
            yield hypervisor
        except TimedOut:
            # A call may still hang in this connection, so no other request may get it.
            raise
        except BaseException:
            self._release(hypervisor)
            raise
        else:
            self._release(hypervisor)

    def _acquire(self) -> Hypervisor:
        while True:
            try:
                _, hypervisor = self._idle.pop()
            except IndexError:
                return Hypervisor(self._uri)
            if not hypervisor.lost:
                return hypervisor
            # The older ones are probably lost too; the loop closes them.
            hypervisor.close()

    def _release(self, hypervisor: Hypervisor) -> None:
        if hypervisor.lost or len(self._idle) >= _MAX_IDLE:
            hypervisor.close()
            return
        self._idle.append((time.monotonic(), hypervisor))
        with self._lock:
            if len(self._idle) > 1 and not self._closing:
                self._closing = True
                threading.Thread(
                    target=self._close_idle, name="idle connections", daemon=True
                ).start()

    def _close_idle(self) -> None:
        """Close old idle connections until one is left, then end the thread."""
        while self._has_several():
            time.sleep(_IDLE_TIMEOUT / 2)
            with suppress(IndexError):
                while len(self._idle) > 1 and self._idle[0][0] < time.monotonic() - _IDLE_TIMEOUT:
                    self._idle.popleft()[1].close()

    def _has_several(self) -> bool:
        # Under the lock: _release must see a thread that has decided to end.
        with self._lock:
            self._closing = len(self._idle) > 1
            return self._closing
