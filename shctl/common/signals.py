"""Ctrl-C and its like: raised between two steps, never in the middle of one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# What a dropped terminal or a stopped service interrupts is taken back like Ctrl-C.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Gate:
    """How many blocks hold interrupts off, and whether one has come meanwhile."""

    blocks = 0
    waiting = False


def install() -> None:
    """Turn the signals into KeyboardInterrupt; one that is ignored, as by nohup, stays so."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _arrive)


def _arrive(*_: object) -> None:
    if not _Gate.blocks:
        raise KeyboardInterrupt
    _Gate.waiting = True


@contextmanager
def deferred() -> Iterator[None]:
    """Hold interrupts off until the block ends; only the main thread ever gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Gate.blocks += 1
    try:
        yield
    finally:
        _Gate.blocks -= 1
        if _Gate.waiting and not _Gate.blocks:
            _Gate.waiting = False
            raise KeyboardInterrupt
