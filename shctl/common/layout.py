"""Lay out a table: columns below each other, within the width of a terminal.

Cells of sentences are wrapped; others are cut, from the last column on, and then left out. The
first column, which has the name, is never cut.
"""

from collections.abc import Callable, Iterator, Sequence

_GAP = 2  # blanks between columns
_LEAST = 5  # cells that a column needs to be of use
# Columns of sentences, by their names in the model.
_SENTENCES = {"problem", "remedy", "description", "reason"}
_LEAST_SENTENCE = 16


def layout(
    columns: Sequence[str],
    lines: Sequence[Sequence[str]],
    width: int | None,
    colour: Callable[[str], str],
) -> Iterator[str]:
    """Yield the lines of a table; the first of `lines` has the headers.

    `width` is that of the terminal; without one, nothing is cut.
    """
    widths = [max(map(cells, column)) for column in zip(*lines, strict=True)]
    fitted = widths if width is None else _fitted(columns, widths, width)
    is_whole = fitted == widths
    for line in lines:
        if is_whole:
            yield _line(line, fitted, colour)
        else:
            yield from _shortened(columns, line, fitted, colour)


def _shortened(
    columns: Sequence[str],
    line: Sequence[str],
    widths: Sequence[int],
    colour: Callable[[str], str],
) -> Iterator[str]:
    """Yield a line whose cells may be too long; sentences take several lines."""
    parts = [
        _wrapped(cell, size) if name in _SENTENCES else [cut(cell, size)]
        for name, cell, size in zip(columns, line, widths, strict=False)
    ]
    for index in range(max(map(len, parts))):
        row = [part[index] if index < len(part) else "" for part in parts]
        yield _line(row, widths, colour)


def _line(row: Sequence[str], widths: Sequence[int], colour: Callable[[str], str]) -> str:
    padded = [
        # ljust() counts characters, which are cells in ASCII.
        colour(cell.ljust(size) if cell.isascii() else cell + " " * (size - cells(cell)))
        for cell, size in zip(row[:-1], widths, strict=False)
    ]
    return (" " * _GAP).join([*padded, colour(row[-1])]).rstrip()


def _fitted(columns: Sequence[str], widths: list[int], width: int) -> list[int]:
    """Return widths that fit, for the columns that are left."""
    while len(widths) > 1 and (surplus := _total(widths) - width) > 0:
        shrunk = widths[:1]
        for name, size in zip(
            reversed(columns[1 : len(widths)]), reversed(widths[1:]), strict=True
        ):
            least = min(size, _LEAST_SENTENCE if name in _SENTENCES else _LEAST)
            taken = min(surplus, size - least)
            surplus -= taken
            shrunk.insert(1, size - taken)
        if surplus <= 0:
            return shrunk
        widths = widths[:-1]
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(2 if east_asian_width(c) in "WF" else not combining(c) for c in text)


def cut(text: str, size: int) -> str:
    """Return a text of at most `size` cells, which ends with ~ if it was cut."""
    if cells(text) <= size:
        return text
    room = size - 1
    for index, character in enumerate(text):
        room -= cells(character)
        if room < 0:
            return f"{text[:index]}~"
    return text


def _wrapped(text: str, size: int) -> list[str]:
    if cells(text) <= size:
        return [text]
    from textwrap import wrap

    return wrap(text, max(size, 1)) or [""]
