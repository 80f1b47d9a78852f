"""Show a list again and again: in place on a terminal, one after the other in a pipe."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from shctl.cli import streams
from shctl.commands.session import Session
from shctl.commands.updates import Updates
from shctl.common.output import fields, render, to_json

# Alternate screen without cursor, as full-screen programs use it, and back.
_ENTER, _LEAVE = "\033[?1049h\033[?25l", "\033[?25h\033[?1049l"

_COLUMNS, _LINES = 80, 24


def show(updates: Updates, session: Session) -> None:
    """Show each result until Ctrl-C."""
    try:
        if session.output == "table" and sys.stdout.isatty() and not streams.is_dumb():
            _in_place(updates)
        else:
            _in_a_row(updates, session.output)
    except KeyboardInterrupt:
        return  # the usual end


def _in_a_row(updates: Updates, output: str) -> None:
    """Print each result that differs from the one before in more than ages."""
    before = None
    for data in updates:
        values = [{**fields(row), "age": None} for row in data]
        if values == before:
            continue
        is_json = output == "json"
        text = to_json(data, indent=None) if is_json else click.unstyle(render(data, output))
        gap = "\n" if before is not None and output == "table" else ""
        streams.write(f"{gap}{text}\n")
        before = values


def _in_place(updates: Updates) -> None:
    with _screen(updates):
        for data in updates:
            size = os.get_terminal_size(sys.stdout.fileno())
            # Serial consoles and new pseudo-terminals have size 0.
            text = render(data, "table", size.columns or _COLUMNS) or "nothing to list"
            shown = text if streams.use_colour() else click.unstyle(text)
            streams.write(_frame(shown.split("\n"), size.lines or _LINES))


def _frame(lines: list[str], height: int) -> str:
    """Return what draws the lines over those before; a last line counts those left out."""
    room = max(height - 1, 1)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} more"]
    return "\033[H" + "".join(f"{line}\033[K\n" for line in lines) + "\033[J"


@contextmanager
def _screen(updates: Updates) -> Iterator[None]:
    before = signal.signal(signal.SIGWINCH, lambda *_: updates.wake())
    streams.write(_ENTER)
    try:
        yield
    finally:
        streams.write(_LEAVE)
        signal.signal(signal.SIGWINCH, before)
