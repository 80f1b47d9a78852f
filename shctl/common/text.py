"""Text that a terminal can be shown, whoever wrote it: guests, trees, other tools, clients."""

REPLACEMENT = 0xFFFD


class _Shown(dict[int, int]):
    """What stands for each character: itself, or the replacement character.

    Not printable are ESC and all other controls of C0 and C1, DEL, marks that turn the direction
    of writing, line and paragraph separators, and halves of what was no UTF-8.
    """

    def __missing__(self, code: int) -> int:
        self[code] = shown = code if chr(code).isprintable() else REPLACEMENT
        return shown


_LINE = _Shown()
_LINES = _Shown({ord(kept): ord(kept) for kept in "\n\t"})


def clean(text: str) -> str:
    """Return one line of text with a replacement for each character that a terminal obeys."""
    return text if text.isprintable() else text.translate(_LINE)


def clean_lines(text: str) -> str:
    """Return text of several lines as clean does; line feeds and tabs stay."""
    return text.translate(_LINES)
