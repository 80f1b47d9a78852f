"""Make text from guests, trees, other tools and clients safe to display; sort names."""

import re

REPLACEMENT = 0xFFFD  # U+FFFD REPLACEMENT CHARACTER


class _Shown(dict[int, int]):
    """Map each character to itself or to the replacement character.

    Not printable are ESC and all other controls of C0 and C1, DEL, marks that change the direction
    of writing, line and paragraph separators, and surrogates, which stand for invalid UTF-8.
    """

    def __missing__(self, code: int) -> int:
        self[code] = shown = code if chr(code).isprintable() else REPLACEMENT
        return shown


_LINE = _Shown()
_LINES = _Shown({ord(kept): ord(kept) for kept in "\n\t"})


def clean(text: str) -> str:
    """Return a line of text with each control character replaced."""
    return text if text.isprintable() else text.translate(_LINE)


def clean_lines(text: str) -> str:
    """Return text of several lines as clean does; line feeds and tabs stay."""
    return text.translate(_LINES)


def natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key by which web2 comes before web10."""
    parts = re.split("([0-9]{1,18})", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
