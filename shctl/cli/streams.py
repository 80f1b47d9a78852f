"""Standard input, output and error: all three there, and a failure to write told as one."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shctl.common.errors import InvalidInput, ShctlError


class Output(io.TextIOWrapper):
    """Standard output, whose failures are told from those of other files."""

    def write(self, text: str) -> int:
        """Write; raise ShctlError when that fails, but BrokenPipeError as it is."""
        with _told():
            return super().write(text)

    def flush(self) -> None:
        """Flush, with the same errors."""
        with _told():
            super().flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ShctlError(f"cannot write to standard output: {error.strerror}") from error


def prepare() -> None:
    """Open what was closed at the start, and have standard output say what is wrong with it."""
    # The lowest free number is taken, so that no other file stands where a stream should.
    _fill("stdin", os.O_RDONLY, "r")
    # Not writable: that the output went nowhere is for the user to know.
    _fill("stdout", os.O_RDONLY, "w")
    _fill("stderr", os.O_WRONLY, "w")
    plain: Any = sys.stdout
    # A locale that lacks a character gets a question mark for it.
    how = (plain.encoding, "replace", None, plain.line_buffering)
    # Both, or Python does not find the terminal whose width click asks for.
    sys.stdout = sys.__stdout__ = Output(plain.detach(), *how)  # type: ignore[misc]


def is_dumb() -> bool:
    """Tell whether the terminal knows no control sequences."""
    return os.environ.get("TERM", "dumb") in ("", "dumb", "unknown")


def may_colour() -> bool:
    """Tell whether colours are wanted, if standard output is a terminal (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and not is_dumb()


def write(piece: str | bytes) -> None:
    """Write a piece of text, or raw bytes, to standard output at once."""
    if isinstance(piece, str):
        sys.stdout.write(piece)
        sys.stdout.flush()
        return
    with _told():
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def write_bytes(data: bytes) -> None:
    """Write to standard output what is no text; raise InvalidInput where a person would see it."""
    if sys.stdout.isatty():
        raise InvalidInput("standard output is a terminal; lead it into a file or a pipe")
    with _told():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _fill(name: str, flags: int, mode: str) -> None:
    if getattr(sys, name) is None:
        setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8"))
