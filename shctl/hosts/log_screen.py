"""Make a log readable in which programs draw on the screen, as installers do.

pyte emulates the terminal, of 80 columns and 24 lines, as programs assume on a serial console. A
line is returned when the output goes on to the next one, or when the screen is cleared.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pyte

COLUMNS, LINES = 80, 24
# pyte collects the digits of a parameter one by one, and converts them to a number at the end.
_TOO_LONG = re.compile("[\x1b\x9b]\\[?[0-9;?]{64,}")
# What follows an invalid sequence is lost, so lines and sequences are emulated one by one.
_PARTS = re.compile("(?=[\x1b\x9b\n])")
_MAX_SAVED = 8  # positions of the cursor


def plain(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the lines that a terminal would have shown, each with its line feed.

    `pieces` are parts of a log with its control characters.
    """
    screen = _Screen()
    stream = _stream(screen)
    for piece in pieces:
        for part in _PARTS.split(_without_costly(piece)):
            try:
                stream.feed(part)
            # ESC [ \u00b2 m, or a parameter of 4,301 digits with blanks between them.
            except ValueError:
                stream = _stream(screen)  # the parser of the old one has ended
        if screen.is_drawn:
            screen.leave_lines()
        yield from screen.take()
        if not piece:  # there is nothing more yet
            yield ""
    screen.leave_lines()
    yield from screen.take()


def _stream(screen: pyte.Screen) -> pyte.Stream:
    stream = pyte.Stream(_Tolerant(screen))
    # Otherwise it ignores the line drawing characters of a VT100.
    stream.use_utf8 = False
    return stream


def _without_costly(text: str) -> str:
    """Return a text without what takes pyte more than linear time."""
    short = _TOO_LONG.sub("", text)
    # Each is added to its character and normalized again.
    return short if short.isascii() else "".join(c for c in short if not unicodedata.combining(c))


class _Tolerant:
    """A screen that ignores the sequences on which pyte fails, such as ESC [ 1 ; 2 ; 3 J."""

    def __init__(self, screen: pyte.Screen) -> None:
        self._screen = screen

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._screen, name)
        return _ignoring_errors(value) if callable(value) else value


def _ignoring_errors(method: Callable[..., object]) -> Callable[..., None]:
    def call(*arguments: Any, **named: Any) -> None:
        # Of any kind: a guest chooses the parameters, and pyte checks neither number nor value.
        with suppress(Exception):
            method(*arguments, **named)

    return call


class _Screen(pyte.Screen):  # type: ignore[misc]
    """A screen that collects its lines; each is collected again only after it has changed.

    `is_drawn` says that a program moves the cursor, so that lines do not end with a line feed.
    """

    def __init__(self) -> None:
        self.is_drawn = False
        self._lines: list[str] = []
        self._shown: dict[int, str] = {}  # by row: what was collected of it
        self._drawn: set[int] = set()  # rows that may have changed since
        super().__init__(COLUMNS, LINES)

    def take(self) -> Iterator[str]:
        """Return the collected lines, and forget them."""
        lines, self._lines = self._lines, []
        return (f"{line}\n" for line in lines)

    def leave_lines(self) -> None:
        """Collect every line that has changed and is not blank."""
        for row in sorted(self._drawn):
            if self._text(row):
                self._leave(row)
        self._drawn.clear()

    def _text(self, row: int) -> str:
        cells = self.buffer[row]
        return "".join(cells[column].data for column in range(self.columns)).rstrip()

    def _leave(self, row: int) -> None:
        text = self._text(row)
        if self._shown.get(row) != text:
            self._lines.append(text)
            self._shown[row] = text

    def draw(self, data: str) -> None:
        """Write at the cursor."""
        self._drawn.add(self.cursor.y)
        super().draw(data)
        self._drawn.add(self.cursor.y)

    def linefeed(self) -> None:
        """Collect the line that ends."""
        self._leave(self.cursor.y)
        self._drawn.discard(self.cursor.y)
        super().linefeed()

    def index(self) -> None:
        """Note that lines move up when the last one is full."""
        top, bottom = self.margins or (0, self.lines - 1)
        if self.cursor.y == bottom:
            scrolled = range(top + 1, bottom + 1)
            self._shown = {
                row - (row in scrolled): text for row, text in self._shown.items() if row != top
            }
            self._drawn = {row - (row in scrolled) for row in self._drawn if row != top}
        super().index()

    def cursor_position(self, *arguments: Any, **named: Any) -> None:
        """Note that a program draws."""
        self.is_drawn = True
        super().cursor_position(*arguments, **named)

    def erase_in_display(self, how: int = 0, *_: Any, **named: Any) -> None:
        """Collect what is erased; pyte knows ways 0 to 3."""
        if how not in range(4):
            return
        self.leave_lines()
        super().erase_in_display(how, **named)
        # A line that is written again, unchanged, belongs to a new screen.
        self._shown = {row: text for row, text in self._shown.items() if self._text(row)}

    def save_cursor(self) -> None:
        """Save the cursor's position; only the latest are kept."""
        super().save_cursor()
        del self.savepoints[:-_MAX_SAVED]

    def reset(self) -> None:
        """Clear the screen; from now on, lines end with a line feed again."""
        super().reset()
        self._shown, self._drawn, self.is_drawn = {}, set(), False
