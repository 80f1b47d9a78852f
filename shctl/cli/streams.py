"""Standard input, output and error: open all three, and report write errors."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shctl.common.errors import InvalidInput, ShctlError


class Output(io.TextIOWrapper):
    """Standard output; its errors name it, unlike those of other files."""

    def write(self, text: str) -> int:
        """Write text; raise ShctlError if that fails, but BrokenPipeError unchanged."""
        with _output_errors():
            return super().write(text)

    def flush(self) -> None:
        """Flush; raise the same errors as write()."""
        with _output_errors():
            super().flush()


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ShctlError(f"cannot write to standard output: {error.strerror}") from error


def prepare() -> None:
    """Open streams that were closed at startup; make standard output report its errors."""
    # open() takes the lowest free descriptor, so no other file can become 0, 1 or 2.
    _fill("stdin", os.O_RDONLY, "r")
    # Read-only, so that writing fails: the user must learn that the output was lost.
    _fill("stdout", os.O_RDONLY, "w")
    _fill("stderr", os.O_WRONLY, "w")
    plain: Any = sys.stdout
    # Characters that the locale's encoding lacks become question marks.
    settings = (plain.encoding, "replace", None, plain.line_buffering)
    # Both names: click finds the terminal's width through sys.__stdout__.
    sys.stdout = sys.__stdout__ = Output(plain.detach(), *settings)  # type: ignore[misc]


def is_dumb() -> bool:
    """Return whether the terminal lacks control sequences."""
    return os.environ.get("TERM", "dumb") in ("", "dumb", "unknown")


def width() -> int | None:
    """Return the width of the terminal that standard output is, None if it is none."""
    try:
        columns = os.get_terminal_size(1).columns
    except OSError:
        return None
    return columns or None  # a serial line may say 0


def use_colour() -> bool:
    """Return whether a terminal may get colours (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and not is_dumb()


def write(piece: str | bytes) -> None:
    """Write text or raw bytes to standard output, and flush it."""
    if isinstance(piece, str):
        sys.stdout.write(piece)
        sys.stdout.flush()
        return
    with _output_errors():
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def write_bytes(data: bytes) -> None:
    """Write binary data to standard output; raise InvalidInput if that is a terminal."""
    if sys.stdout.isatty():
        raise InvalidInput(
            "refusing to write binary data to a terminal; redirect it to a file or a pipe"
        )
    with _output_errors():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _fill(name: str, flags: int, mode: str) -> None:
    if getattr(sys, name) is None:
        setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8"))
