"""Share the events of one connection: libvirt takes only one callback for each kind of event."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

Callback = Callable[..., object]
_Key = tuple[str, int]  # what the events are of, and libvirt's number of their kind


class SharedEvents:
    """The callbacks of one connection; each event reaches all that are registered for its kind."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._callbacks: dict[_Key, list[Callback]] = {}
        self._numbers: dict[_Key, int] = {}

    def on_domain(self, kind: int, callback: Callback) -> Callable[[], object]:
        """Call a function with each event of all domains; return what ends this."""
        return self._add(("domain", kind), callback)

    def on_network(self, kind: int, callback: Callback) -> Callable[[], object]:
        """Call a function with each event of all networks; return what ends this."""
        return self._add(("network", kind), callback)

    def _add(self, key: _Key, callback: Callback) -> Callable[[], object]:
        with self._lock:
            if key not in self._numbers:
                self._numbers[key] = self._register(key)
            self._callbacks.setdefault(key, []).append(callback)
        return partial(self._remove, key, callback)

    def _register(self, key: _Key) -> int:
        what, kind = key
        register = getattr(self._connection, f"{what}EventRegisterAny")
        return int(register(None, kind, partial(self._call, key), None))

    def _call(self, key: _Key, *arguments: Any) -> None:
        # A copy, and no lock: this is libvirt's event loop, for which another thread may wait.
        for callback in tuple(self._callbacks.get(key, ())):
            callback(*arguments)

    def _remove(self, key: _Key, callback: Callback) -> None:
        what, _ = key
        with self._lock:
            self._callbacks[key].remove(callback)
            # libvirt does not close a connection that has callbacks.
            if not self._callbacks[key]:
                getattr(self._connection, f"{what}EventDeregisterAny")(self._numbers.pop(key))
