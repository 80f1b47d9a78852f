"""Which part of a console log to show, and how: control characters, or a screen's lines."""

import re
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import IncrementalNewlineDecoder

from shctl.common.text import clean_lines

MAX_READ = 16 * 2**20  # bytes, twice what virtlogd keeps of a log
_MAX_PLAIN = 2 * 2**20  # bytes; emulating a terminal takes 1 to 15 s for each MiB
# What a firmware writes before anything else: SeaBIOS its version, OVMF resets of its terminal
# (TerminalConOutReset() in MdeModulePkg/Universal/Console/TerminalDxe/TerminalConOut.c).
_FIRMWARE = re.compile(
    rb"(?:\x1bc\x1b\[\?7l\x1b\[2J\x1b\[0m)?SeaBIOS \(version "
    rb"|(?:\x1b\[2J\x1b\[01;01H\x1b\[=3h(?:\x1b\[2J\x1b\[01;01H)*)+"
)
# On hosts whose firmware does not write to the console.
_KERNEL = re.compile(rb"(?:\[ *[0-9]{1,6}\.[0-9]{6}\] )?Linux version ")
# Each with texts of which every occurrence has one.
_MARKS = (
    (_FIRMWARE, (b"SeaBIOS (version ", b"\x1b[=3h")),
    (_KERNEL, (b"Linux version ",)),
)


@dataclass(frozen=True)
class View:
    """Which part of a log to return, and how.

    `tail` is a number of lines, None for all. `raw` leaves control characters as they are; `plain`
    returns what a terminal would have shown. Without either, they are replaced.
    """

    raw: bool = False
    plain: bool = False
    tail: int | None = None
    since_boot: bool = False

    @property
    def maximum(self) -> int:
        """Return how many of the newest bytes are read."""
        return _MAX_PLAIN if self.plain else MAX_READ


def show(chunks: Iterable[bytes], view: View) -> Iterator[str | bytes]:
    """Yield what a view shows of a log."""
    if view.since_boot:
        chunks = [since_boot(b"".join(chunks))]
    if view.plain:
        yield from _plain(chunks, view.tail)
        return
    if view.tail is not None:
        chunks = [last_lines(b"".join(chunks), view.tail)]
    yield from chunks if view.raw else _printable(chunks)


def _plain(chunks: Iterable[bytes], tail: int | None) -> Iterator[str]:
    """Yield the lines that a terminal would have shown."""
    from shctl.hosts.log_screen import plain

    decoder = getincrementaldecoder("utf-8")("replace")
    lines = plain(decoder.decode(chunk) for chunk in chunks)
    yield from map(clean_lines, lines if tail is None else deque(lines, tail))


def _printable(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield text that is safe for a terminal; a carriage return becomes a line feed."""
    decoder = IncrementalNewlineDecoder(getincrementaldecoder("utf-8")("replace"), translate=True)
    for chunk in chunks:
        # An empty chunk says that there is nothing more yet.
        yield clean_lines(decoder.decode(chunk)) if chunk else ""
    if rest := decoder.decode(b"", final=True):
        yield clean_lines(rest)


def last_lines(log: bytes, number: int) -> bytes:
    """Return the last lines of a log; an unfinished line at its end counts as one."""
    position = len(log) - log.endswith(b"\n")
    for _ in range(number):
        position = log.rfind(b"\n", 0, max(position, 0))
        if position < 0:
            return log
    return log[position + 1 :] if number else b""


def since_boot(log: bytes) -> bytes:
    """Return what was written since the last boot; the whole log if no boot is found in it."""
    for mark, parts in _MARKS:
        # Finding out that a mark is not there takes the expression 100 times as long.
        if not any(part in log for part in parts):
            continue
        if starts := [found.start() for found in mark.finditer(log)]:
            return log[starts[-1] :]
    return log
