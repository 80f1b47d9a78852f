"""Let work that only waits end when nobody waits for it any longer."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event

from shctl.common.errors import ShctlError

# Set once whoever asked for the work at hand has left; None where nobody can leave.
_left: ContextVar[Event | None] = ContextVar("left", default=None)


class ClientGone(ShctlError):
    """Whoever asked has left, and nothing is changed for them any more."""

    status = 503
    title = "Client has left"


@contextmanager
def cancelled_by(left: Event) -> Iterator[None]:
    """Have work that begins inside the block end when the event is set."""
    token = _left.set(left)
    try:
        yield
    finally:
        _left.reset(token)


def check() -> None:
    """Raise ClientGone once whoever asked has left; for places where ending changes nothing."""
    left = _left.get()
    if left is not None and left.is_set():
        raise ClientGone("the client has left, so the wait has ended")
