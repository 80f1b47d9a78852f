"""Connect the user's terminal to a host's serial console."""

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shctl.common.errors import InvalidInput
from shctl.hypervisor.domain import Console

ESCAPE = b"\x1d"  # Ctrl-], as in telnet and virsh
_CHUNK = 4096  # bytes


def attach(open_console: Callable[[], Console]) -> None:
    """Connect the terminal to a console until the user types Ctrl-], or the host stops.

    Raise InvalidInput if standard input is not a terminal.
    """
    if not sys.stdin.isatty():
        raise InvalidInput("hosts console needs a terminal; use 'shctl hosts log -f' without one")
    console = open_console()
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    stopped, stop = os.pipe()

    def copy_output() -> None:
        while output := console.receive(_CHUNK):
            os.write(screen, output)
        os.write(stop, b"\0")  # wakes up select() in _keys()

    sys.stderr.write("Ctrl-] leaves the console.\n")
    sys.stderr.flush()
    with _raw(keyboard):
        threading.Thread(target=copy_output, daemon=True).start()
        for keys in _keys(keyboard, stopped):
            console.send(keys)
        console.close()


def _keys(keyboard: int, stopped: int) -> Iterator[bytes]:
    """Yield what the user types, until ESCAPE or until `stopped` is readable."""
    while stopped not in (ready := select.select([keyboard, stopped], [], [])[0]):
        if keyboard not in ready:
            continue
        keys, escape, _ = os.read(keyboard, _CHUNK).partition(ESCAPE)
        if keys:
            yield keys
        if escape or not keys:  # nothing read: the terminal hung up
            return


@contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    """Set the terminal to raw mode, and restore its settings at the end."""
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
