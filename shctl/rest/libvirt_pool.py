"""Connections to libvirt for requests, each of which has one to itself.

libvirtd works on five calls of one connection at a time and lets the others wait
(max_client_requests in libvirtd.conf), so five calls into a guest that hangs would hold up
everybody who shares their connection.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from shctl.common.errors import TimedOut
from shctl.hypervisor.connection import Hypervisor

_KEPT = 8
_IDLE = 3.0  # seconds after which a connection that nobody uses is closed, but for one


class Pool:
    """Connections that are open and not in use; as many more are opened as there are requests."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        # With the time when each came back; the last one goes out first.
        self._idle: deque[tuple[float, Hypervisor]] = deque()
        self._lock = threading.Lock()
        self._trimming = False

    @contextmanager
    def borrow(self) -> Iterator[Hypervisor]:
        """Yield a hypervisor that nobody else uses; it opens its connection anew if it was lost."""
        hypervisor = self._take()
        try:
            yield hypervisor
        except TimedOut:
            # A call may still be stuck in it, and whoever got it next would wait for that one.
            raise
        except BaseException:
            self._give_back(hypervisor)
            raise
        else:
            self._give_back(hypervisor)

    def _take(self) -> Hypervisor:
        while True:
            try:
                _, hypervisor = self._idle.pop()
            except IndexError:
                return Hypervisor(self._uri)
            if not hypervisor.lost:
                return hypervisor
            # Whatever has ended this one has ended those that wait behind it.
            hypervisor.close()

    def _give_back(self, hypervisor: Hypervisor) -> None:
        if hypervisor.lost or len(self._idle) >= _KEPT:
            hypervisor.close()
            return
        self._idle.append((time.monotonic(), hypervisor))
        with self._lock:
            if len(self._idle) > 1 and not self._trimming:
                self._trimming = True
                threading.Thread(target=self._trim, name="idle connections", daemon=True).start()

    def _trim(self) -> None:
        """Close what is idle for long until there is but one left."""
        while self._is_crowded():
            time.sleep(_IDLE / 2)
            with suppress(IndexError):
                while len(self._idle) > 1 and self._idle[0][0] < time.monotonic() - _IDLE:
                    self._idle.popleft()[1].close()

    def _is_crowded(self) -> bool:
        with self._lock:
            self._trimming = len(self._idle) > 1
            return self._trimming
