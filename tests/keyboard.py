"""Type into an interactive shell, as a person would."""

import os
import pty
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

KILL_LINE = "\x15"
TAB = "\t"
PATIENCE = 20  # seconds


class Terminal:
    """A terminal at which a program sits."""

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
    """Start a program and yield the terminal that it sits at."""
    pid, descriptor = pty.fork()
    if not pid:
        os.execvpe(argv[0], argv, env)
    try:
        yield Terminal(descriptor)
    finally:
        os.close(descriptor)
        os.waitpid(pid, 0)
