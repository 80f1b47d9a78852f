"""A person's terminal as a host's serial console."""

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

ESCAPE = b"\x1d"  # Ctrl-], as telnet and virsh have it
_CHUNK = 4096  # bytes


def attach(open_console: Callable[[], Console]) -> None:
    """Connect the terminal to a console until Ctrl-], or until the host stops.

    Raises InvalidInput when standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise InvalidInput("hosts console needs a terminal; 'shctl hosts log -f' follows without")
    console = open_console()
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    stopped, stop = os.pipe()

    def show() -> None:
        while piece := console.receive(_CHUNK):
            os.write(screen, piece)
        os.write(stop, b"\0")

    sys.stderr.write("Ctrl-] leaves the console.\n")
    sys.stderr.flush()
    with _raw(keyboard):
        threading.Thread(target=show, daemon=True).start()
        for piece in _typed(keyboard, stopped):
            console.send(piece)
        console.close()


def _typed(keyboard: int, stopped: int) -> Iterator[bytes]:
    while stopped not in (ready := select.select([keyboard, stopped], [], [])[0]):
        if keyboard not in ready:
            continue
        typed, escape, _ = os.read(keyboard, _CHUNK).partition(ESCAPE)
        if typed:
            yield typed
        if escape or not typed:  # nothing read: the terminal hung up
            return


@contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    """Hand each key to the guest as it is typed, and give the terminal back as it was."""
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
