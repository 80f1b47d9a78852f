"""Interactive use of a terminal, by a shell or by shctl."""

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from tests.support import HANG, SHCTL, environment

KILL_LINE = "\x15"
TAB = "\t"
PATIENCE = 20  # seconds


class Terminal:
    """A terminal with a program."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.shown = ""

    def type(self, typed: str, expected: str) -> None:
        """Type something and wait until the terminal shows what is expected."""
        os.write(self._descriptor, typed.encode())
        self.shown, end = "", time.monotonic() + PATIENCE
        while expected not in self.shown:
            assert time.monotonic() < end, f"{expected!r} is not in {self.shown!r}"
            if select.select([self._descriptor], [], [], 0.1)[0]:
                self.shown += os.read(self._descriptor, 4096).decode(errors="replace")


@contextmanager
def running(argv: list[str], env: Mapping[str, str]) -> Iterator[Terminal]:
    """Start a program and yield its terminal."""
    pid, descriptor = pty.fork()
    if not pid:
        os.execvpe(argv[0], argv, env)
    try:
        yield Terminal(descriptor)
    finally:
        os.close(descriptor)
        os.waitpid(pid, 0)


def at_terminal(
    *arguments: str, typed: bytes = b"", columns: int = 80, **env: str
) -> tuple[int, str]:
    """Run shctl at a terminal with this input; return exit code and screen."""
    person, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    process = subprocess.Popen(
        [*SHCTL, *arguments], env=environment(**{"TERM": "xterm", **env}), stdin=terminal,
        stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    os.write(person, typed)
    screen = b"".join(read_all(person))
    os.close(person)
    return process.wait(HANG), screen.decode()


def read_all(person: int) -> Iterator[bytes]:
    # Reading from a terminal that no process has open is an error.
    with suppress(OSError):
        while piece := os.read(person, 4096):
            yield piece
