"""What a command returns that lists again whenever something changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from shctl.common.errors import Unreachable

if TYPE_CHECKING:
    from shctl.hypervisor.connection import Hypervisor

# Seconds. libvirt has no event for addresses and ages.
_INTERVAL = 5.0
_PAUSE = 0.1  # a rack that starts causes many events at once
_RETRY = 1.0
_RESTART = 60.0  # how long a restart of libvirtd may take


class Updates:
    """The results of a function, again after each event; without an end."""

    def __init__(self, hypervisor: Hypervisor, read: Callable[[], Any]) -> None:
        self._read = read
        self._changed = threading.Event()
        hypervisor.watch(self._changed.set)

    def wake(self) -> None:
        """Read again now."""
        self._changed.set()

    def __iter__(self) -> Iterator[Any]:
        """Yield the result, and again whenever it may have changed.

        Raise Unreachable if libvirt does not answer, unless it may be restarting.
        """
        answered = float("-inf")
        while True:
            self._changed.clear()
            interval = _INTERVAL
            try:
                yield self._read()
                answered = time.monotonic()
            except Unreachable:
                if time.monotonic() > answered + _RESTART:
                    raise
                interval = _RETRY
            if self._changed.wait(interval):
                threading.Event().wait(_PAUSE)
