"""The kernel's command line: what Linux reads of it, and what it leaves to init."""

import re

# A word; blanks in double quotes are part of it, see next_arg() in lib/cmdline.c of Linux.
_WORD = re.compile(r'(?:[^ "]|"[^"]*(?:"|$))+')


def split(line: str) -> tuple[str, str]:
    """Return what Linux reads of a command line, and the rest, from a lone -- or an open quote on.

    What follows -- is for init alone, see parse_args() in kernel/params.c.
    """
    for word in _WORD.finditer(line):
        # An open quote takes in all that stands behind it.
        if word[0] in ("--", '"--"') or word[0].count('"') % 2:
            return line[: word.start()].rstrip(" "), line[word.start() :]
    return line, ""


def join(*parts: str) -> str:
    """Return parts of a command line as one line, without those that are empty."""
    return " ".join(filter(None, parts))
