"""Show on stderr how a wait goes on: a block that is redrawn on a terminal, or lines in a log.

A thread of its own observes the hosts, so that it neither delays nor fails what it shows.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from shctl.cli import streams
from shctl.cli.block import Download, block, line, state
from shctl.common.errors import ShctlError
from shctl.common.layout import cells
from shctl.common.observation import Observation

INTERVAL = 1.0  # seconds
HEARTBEAT = 60.0  # seconds between lines without a change
_COLUMNS, _LINES = 80, 24
_PATIENCE = 2.0  # seconds for an observation that is under way; a daemon may hang

Observe = Callable[[], list[Observation]]
Progress = Callable[[str, int, int | None], None]


@contextmanager
def shown(observe: Observe, limit: float | None, *, lines: bool) -> Iterator[Progress]:
    """Show what is observed while the block runs; yield what downloads report to.

    `limit` is the time limit in seconds. Nothing is shown without a terminal, unless `lines`.
    """
    if sys.stderr.isatty() and not streams.is_dumb():
        view: _View = _Block(observe, limit)
    elif lines:
        view = _Lines(observe, limit)
    else:
        yield lambda *_: None
        return
    try:
        view.start()
        yield view.report
    finally:
        view.end()


class _View:
    """A thread that shows observations until it is ended."""

    def __init__(self, observe: Observe, limit: float | None) -> None:
        self._observe, self._limit = observe, limit
        self._begin = time.monotonic()
        self._downloads: dict[str, tuple[Download, float]] = {}
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start to show."""
        self._thread.start()

    def end(self) -> None:
        """Show nothing from now on."""
        self._ended.set()
        with self._lock:
            self.erase()
        self._thread.join(_PATIENCE)

    def report(self, name: str, done: int, size: int | None) -> None:
        """Note how much of a file was downloaded."""
        now = time.monotonic()
        _, begin = self._downloads.get(name, (None, now))
        rate = done / (now - begin) if now > begin else 0.0
        self._downloads[name] = Download(name, done, size, rate), begin

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begin

    @property
    def downloads(self) -> list[Download]:
        return [download for download, _ in list(self._downloads.values())]

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                hosts = self._observe()
            except ShctlError:  # the command itself reports what is wrong
                hosts = []
            with self._lock:
                if hosts and not self._ended.is_set():
                    self.show(hosts)
            self._ended.wait(INTERVAL)

    def show(self, hosts: Sequence[Observation]) -> None:
        raise NotImplementedError

    def erase(self) -> None:
        """Remove what is shown."""


class _Block(_View):
    """A block of lines in place."""

    _shown: Sequence[str] = ()

    def show(self, hosts: Sequence[Observation]) -> None:
        columns, rows = _size()
        lines = block(hosts, self.downloads, self.elapsed, self._limit, columns, rows)
        text = "".join(f"{line}\033[K\n" for line in lines)
        click.echo(f"{self._above(columns)}{text}\033[J", nl=False, err=True)
        self._shown = lines

    def erase(self) -> None:
        if self._shown:
            click.echo(f"{self._above(_size()[0])}\033[J", nl=False, err=True)
            self._shown = ()

    def _above(self, columns: int) -> str:
        """Return what moves the cursor to the first line."""
        # A terminal that became narrower wraps the lines that it has.
        height = sum(max(-(-cells(line) // columns), 1) for line in self._shown)
        return f"\r\033[{height}A" if height else "\r"


class _Lines(_View):
    """A line for each change, and one each minute without any."""

    def __init__(self, observe: Observe, limit: float | None) -> None:
        super().__init__(observe, limit)
        self._before: dict[str, tuple[object, ...]] = {}
        self._last = time.monotonic()
        self._complete: set[str] = set()

    def show(self, hosts: Sequence[Observation]) -> None:
        for download in self.downloads:
            if download.is_complete and download.name not in self._complete:
                self._complete.add(download.name)
                click.echo(str(download), err=True)
        is_due = time.monotonic() - self._last >= HEARTBEAT
        for host in hosts:
            now = (state(host), host.step)
            if is_due or self._before.get(host.name) != now:
                self._before[host.name] = now
                self._last = time.monotonic()
                click.echo(line(host, self.elapsed), err=True)


def _size() -> tuple[int, int]:
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        return _COLUMNS, _LINES
    return size.columns or _COLUMNS, size.lines or _LINES  # a serial line may say 0
