"""Raise KeyboardInterrupt for signals, but not between a change and the note that it was made."""

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
    # Python sets handlers in the main thread only; a program that runs shctl in another one keeps
    # its own.
    if threading.current_thread() is not threading.main_thread():
        return
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
    before = _State.blocks
    _State.blocks = before + 1
    try:
        yield
    finally:
        # Not a subtraction: an interrupt may have ended interruptible() before it restored this.
        _State.blocks = before
        _raise_waiting()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let interrupts end the block, even within deferred(); the caller then rolls it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = _State.blocks
    _State.blocks = 0
    try:
        _raise_waiting()
        yield
    finally:
        _State.blocks = before


def _raise_waiting() -> None:
    if _State.waiting and not _State.blocks:
        _State.waiting = False
        raise KeyboardInterrupt
