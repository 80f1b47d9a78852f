"""What a command returns that lists again whenever something changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shctl.hypervisor.connection import Hypervisor

# Seconds. libvirt has no event for addresses and ages.
_INTERVAL = 5.0
_PAUSE = 0.1  # a rack that starts causes many events at once


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
        """Yield the result, and again whenever it may have changed."""
        while True:
            self._changed.clear()
            yield self._read()
            if self._changed.wait(_INTERVAL):
                threading.Event().wait(_PAUSE)
