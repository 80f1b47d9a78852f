"""Cancel work that only waits when the client that requested it disconnects."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event

from shctl.common.errors import ShctlError

# Set once the client of the current request has disconnected; None without a client.
_left: ContextVar[Event | None] = ContextVar("left", default=None)


class ClientGone(ShctlError):
    """The client has disconnected, so its request stops waiting."""

    status = 503
    code = "client_gone"
    title = "Client has disconnected"


@contextmanager
def cancelled_by(left: Event) -> Iterator[None]:
    """Cancel work that begins in the block when the event is set."""
    token = _left.set(left)
    try:
        yield
    finally:
        _left.reset(token)


def check() -> None:
    """Raise ClientGone if the client has disconnected; call it where stopping changes nothing."""
    left = _left.get()
    if left is not None and left.is_set():
        raise ClientGone("the client has disconnected, so the wait was cancelled")
