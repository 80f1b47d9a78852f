"""Raise KeyboardInterrupt for signals, between two steps and never within one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# A closed terminal and a stopped service roll back like Ctrl-C.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _State:
    """How many blocks defer interrupts, and whether one has arrived meanwhile."""

    blocks = 0
    waiting = False


def install() -> None:
    """Turn the signals into KeyboardInterrupt; one that is ignored, as by nohup, stays ignored."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _arrive)


def _arrive(*_: object) -> None:
    # Python runs signal handlers in the main thread only.
    if not _State.blocks:
        raise KeyboardInterrupt
    _State.waiting = True


@contextmanager
def deferred() -> Iterator[None]:
    """Defer interrupts until the block ends; only the main thread receives them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.blocks += 1
    try:
        yield
    finally:
        _State.blocks -= 1
        if _State.waiting and not _State.blocks:
            _State.waiting = False
            raise KeyboardInterrupt
