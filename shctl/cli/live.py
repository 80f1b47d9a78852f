"""Show on stderr how a wait goes on: a block that is redrawn on a terminal, or lines in a log.

One thread observes the hosts and another shows them, so that neither a daemon that hangs nor a
terminal that is stopped delays or fails the wait, and the time goes on.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import click

from shctl.cli import streams
from shctl.cli.block import Download, block, line, state
from shctl.common.layout import cells
from shctl.common.observation import Observation
from shctl.common.text import clean

INTERVAL = 1.0  # seconds
HEARTBEAT = 60.0  # seconds between lines without a change
_DELAY = 0.3  # seconds before the first view: most commands end sooner
_STALE = 5.0  # seconds after which an observation says nothing about now
_PATIENCE = 0.5  # seconds for what is just being drawn
_RESUMED = 3.0  # seconds without a view, after which the process was suspended
_COLUMNS, _LINES = 80, 24

Observe = Callable[[], list[Observation]]
Progress = Callable[[str, int, int | None], None]


@contextmanager
def shown(
    observe: Observe, limit: float | None, goal: str = "", *, in_place: bool, lines: bool
) -> Iterator[Progress]:
    """Show what is observed while the block runs; yield what downloads report to.

    `limit` is the time limit in seconds, `goal` what is waited for. It is shown `in_place` on a
    terminal that can do so, otherwise as `lines`, or not at all.
    """
    if in_place and sys.stderr.isatty() and not streams.is_dumb():
        view: _View = _Block(observe, limit, goal)
    elif lines:
        view = _Lines(observe, limit, goal)
    else:
        yield lambda *_: None
        return
    try:
        view.start()
        yield view.report
    finally:
        view.end()


class _View:
    """What is shown until it is ended."""

    def __init__(self, observe: Observe, limit: float | None, goal: str) -> None:
        self._observe, self._limit, self._goal = observe, limit, goal
        self._begin = self._seen = time.monotonic()
        self._hosts: list[Observation] = []
        self._downloads: dict[str, tuple[float, int, int | None]] = {}
        self._ended = threading.Event()
        self._painter = threading.Thread(target=self._paint, daemon=True)

    def start(self) -> None:
        """Start to observe and to show."""
        with suppress(RuntimeError):  # no more threads
            threading.Thread(target=self._watch, daemon=True).start()
            self._painter.start()

    def end(self) -> None:
        """Show nothing from now on."""
        self._ended.set()
        with suppress(RuntimeError):  # it was not started
            self._painter.join(_PATIENCE)
        # Otherwise the terminal is stopped, and would stop this thread too.
        if not self._painter.is_alive():
            with suppress(Exception):
                self.erase()

    def report(self, name: str, done: int, size: int | None) -> None:
        """Note how much of a file was downloaded."""
        begin, *_ = self._downloads.get(name, (time.monotonic(),))
        self._downloads[name] = begin, done, size

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begin

    @property
    def downloads(self) -> list[Download]:
        """Return what was downloaded; the rate falls while nothing arrives."""
        return [
            Download(name, done, size, done / max(time.monotonic() - begin, INTERVAL))
            for name, (begin, done, size) in self._downloads.copy().items()
        ]

    def _watch(self) -> None:
        while not self._ended.is_set():
            # Of any kind: the command itself reports what is wrong.
            with suppress(Exception):
                self._hosts = self._observe()
                self._seen = time.monotonic()
            self._ended.wait(INTERVAL)

    def _paint(self) -> None:
        pause = _DELAY
        while not self._ended.wait(pause):
            with suppress(Exception):  # a terminal or a pipe that is closed
                if hosts := self._current():
                    self.show(hosts)
            pause = INTERVAL

    def _current(self) -> list[Observation]:
        """Return the last observation; once it is old, say so instead."""
        if time.monotonic() - self._seen < _STALE:
            return self._hosts
        state = "no answer from libvirt"
        return [replace(host, state=state, line="", silence=None) for host in self._hosts]

    def show(self, hosts: Sequence[Observation]) -> None:
        raise NotImplementedError

    def erase(self) -> None:
        """Remove what is shown."""


class _Block(_View):
    """A block of lines in place."""

    _shown: Sequence[str] = ()
    _time = 0.0

    def show(self, hosts: Sequence[Observation]) -> None:
        # After it was suspended, the cursor is below what the shell has written.
        if time.monotonic() - self._time > _RESUMED:
            self._shown = ()
        if not _in_foreground():
            return
        columns, rows = _size()
        # Downloads come before the host.
        downloads = self.downloads if not hosts[0].exists else []
        lines = block(hosts, downloads, self.elapsed, self._limit, columns, rows, self._goal)
        self._write("".join(f"{line}\033[K\n" for line in lines), columns)
        self._shown, self._time = lines, time.monotonic()

    def erase(self) -> None:
        if self._shown and _in_foreground():
            self._write("", _size()[0])

    def _write(self, text: str, columns: int) -> None:
        """Write text over what is shown."""
        # A terminal that became narrower wraps the lines that it has.
        height = sum(max(-(-cells(line) // columns), 1) for line in self._shown)
        up = f"\033[{height}A" if height else ""
        click.echo(_encodable(f"\r{up}{text}\033[J"), nl=False, err=True)


class _Lines(_View):
    """A line for each change, and one each minute without any."""

    def __init__(self, observe: Observe, limit: float | None, goal: str) -> None:
        super().__init__(observe, limit, goal)
        self._before: dict[str, tuple[object, ...]] = {}
        self._last: dict[str, float] = {}
        self._complete: set[str] = set()

    def show(self, hosts: Sequence[Observation]) -> None:
        for download in self.downloads:
            if download.is_complete and download.name not in self._complete:
                self._complete.add(download.name)
                self._write(download)
        for host in hosts:
            self._show_host(host)

    def _show_host(self, host: Observation) -> None:
        now = state(host), host.step
        is_due = time.monotonic() - self._last.get(host.name, 0) >= HEARTBEAT
        if not is_due and self._before.get(host.name) == now:
            return
        self._before[host.name], self._last[host.name] = now, time.monotonic()
        self._write(line(host, self.elapsed, self._goal))
        for download in self.downloads:
            if not host.exists and not download.is_complete:
                self._write(download)

    def _write(self, text: object) -> None:
        click.echo(_encodable(clean(str(text))), err=True)


def _encodable(text: str) -> str:
    """Return a text that stderr can encode; escapes would be wider than what they replace."""
    encoding = sys.stderr.encoding
    return text.encode(encoding, "replace").decode(encoding)


def _in_foreground() -> bool:
    """Return whether the terminal belongs to this process, and not to the shell that has it."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except OSError:  # it is not the controlling terminal
        return True


def _size() -> tuple[int, int]:
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        return _COLUMNS, _LINES
    return size.columns or _COLUMNS, size.lines or _LINES  # a serial line may say 0
