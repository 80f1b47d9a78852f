"""Print what commands return: a table for people, JSON or bare names for programs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from shctl.common.text import clean

UNITS = {"memory": "MiB", "max_memory": "MiB", "size": "GiB"}
_COLOURS = {
    "running": "green",
    "active": "green",
    "crashed": "red",
    "paused": "yellow",
    "pmsuspended": "yellow",
}


def render(data: Any, output: str) -> str:
    """Return a command's data as text without a line break at its end.

    `data` is one of the frozen classes of shctl.common.model or a list of them.
    """
    if output == "json":
        return to_json(
            b"".join(map(as_bytes, data)).decode("utf-8", "replace")
            if isinstance(data, Iterator)
            else data
        )
    rows = data if isinstance(data, list) else [data]
    if output == "name":
        return "\n".join(clean(row.name) for row in rows)
    if isinstance(data, list) and not any(map(_has_tables, rows)):
        return _table(rows)
    return "\n\n".join(map(_sheet, rows))


def as_bytes(piece: str | bytes) -> bytes:
    """Return a piece of a log as bytes: raw, or text without control characters."""
    return piece if isinstance(piece, bytes) else piece.encode()


def to_json(data: Any, *, indent: int | None = 2) -> str:
    """Return data as JSON in ASCII: for any locale, and without control characters."""
    import json

    # ensure_ascii is the default, so the locale does not matter.
    # Frozen objects cannot contain themselves, so the check for cycles can be skipped.
    text = json.dumps(data, default=fields, check_circular=False, indent=indent)
    return text.replace("\x7f", r"\u007f")  # DEL is ASCII too


def fields(row: Any) -> dict[str, Any]:
    """Return a frozen object as a dictionary, one level deep."""
    return {name: getattr(row, name) for name in row.__slots__}


def _table(rows: Sequence[Any], margin: str = "") -> str:
    if not rows:
        return ""
    # These columns are left out if all rows are empty, such as the trunk of access ports.
    optional = {"trunk", "kept", "addresses", "result"}
    columns = [c for c in rows[0].columns if c not in optional or any(getattr(r, c) for r in rows)]
    lines = [[c.upper() for c in columns]]
    lines += [
        [_cell(_unit_of(row, c), getattr(row, c), _units(row)) for c in columns] for row in rows
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(margin + _line(line, widths) for line in lines)


def _unit_of(row: Any, column: str) -> str:
    """Return the name by which a cell's unit is known; that of a value is its row's key."""
    return getattr(row, "key", column) if column == "value" else column


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    padded[-1] = cells[-1]
    return "  ".join(_coloured(cell) for cell in padded).rstrip()


def _sheet(row: Any) -> str:
    """Return one object, one field per line; lists of objects are tables below their names."""
    width = max(len(name) for name in row.columns) + 2
    return "\n".join(_field(name, getattr(row, name), width, _units(row)) for name in row.columns)


def _has_tables(row: Any) -> bool:
    return any(_is_table(getattr(row, name)) for name in row.columns)


def _is_table(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and hasattr(value[0], "columns")


def _field(name: str, value: Any, width: int, units: Mapping[str, str]) -> str:
    label = name.upper()
    if _is_table(value):
        return f"{label}\n{_table(value, margin='  ')}"
    if hasattr(value, "columns"):
        return f"{label}\n{_sheet(value)}".replace("\n", "\n  ")
    return f"{label.ljust(width)}{_coloured(_cell(name, value, units))}"


def _units(row: Any) -> Mapping[str, str]:
    """Return the units of a row's columns: its own, or those that such columns always have."""
    return getattr(row, "units", UNITS)


def _cell(name: str, value: Any, units: Mapping[str, str]) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == ():
        return "-"
    if isinstance(value, tuple):
        return ",".join(clean(str(item)) for item in value)
    if isinstance(value, float):
        value = f"{value:.2f}".rstrip("0").rstrip(".")
    text = clean(str(value))
    return f"{text} {units[name]}" if name in units else text


def _coloured(cell: str) -> str:
    colour = _COLOURS.get(cell.strip())
    return click.style(cell, fg=colour) if colour else cell
