"""Split and join kernel command lines as Linux parses them."""

import re

# An argument; it may contain blanks in double quotes, see next_arg() in lib/cmdline.c of Linux.
_ARGUMENT = re.compile(r'(?:[^ "]|"[^"]*(?:"|$))+')


def split(line: str) -> tuple[str, str]:
    """Return the kernel's part of a command line, and the rest from "--" or an open quote on.

    Arguments after "--" are for init only, see parse_args() in kernel/params.c of Linux.
    """
    for argument in _ARGUMENT.finditer(line):
        # An unclosed quote extends to the end of the line, so nothing can be added after it.
        if argument[0] in ("--", '"--"') or argument[0].count('"') % 2:
            return line[: argument.start()].rstrip(" "), line[argument.start() :]
    return line, ""


def join(*parts: str) -> str:
    """Return the non-empty parts of a command line, joined by blanks."""
    return " ".join(part for part in parts if part)
