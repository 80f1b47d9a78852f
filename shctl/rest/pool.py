"""Connections to libvirt for requests, each of which has one to itself.

libvirtd works on five calls of one connection at a time and lets the others wait
(max_client_requests in libvirtd.conf), so five calls into a guest that hangs would hold up
everybody who shares their connection.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from shctl.hypervisor import Hypervisor

_KEPT = 8


class Pool:
    """Connections that are open and not in use; as many more are opened as there are requests."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        # The last one that came back goes out first; appending to a full deque drops the oldest.
        self._idle: deque[Hypervisor] = deque(maxlen=_KEPT)

    @contextmanager
    def borrow(self) -> Iterator[Hypervisor]:
        """Yield a hypervisor that nobody else uses; it opens its connection anew if it was lost."""
        try:
            hypervisor = self._idle.pop()
        except IndexError:
            hypervisor = Hypervisor(self._uri)
        try:
            yield hypervisor
        finally:
            self._idle.append(hypervisor)
