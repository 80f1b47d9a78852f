"""Print what commands return: a table for people, JSON or bare names for programs."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from shctl.common.layout import layout
from shctl.common.text import clean

# Of the columns of lists whose name is not that of the key in JSON.
_HEADERS = {"vlans": "vlan", "addresses": "address"}
UNITS = {"memory": "MiB", "max_memory": "MiB", "size": "GiB"}
_COLOURS = {
    "running": "green",
    "active": "green",
    "crashed": "red",
    "paused": "yellow",
    "pmsuspended": "yellow",
}


def render(data: Any, output: str, width: int | None = None) -> str:
    """Return a command's data as text without a line break at its end.

    `data` is one of the frozen classes of shctl.common.model or a list of them; `width` is that of
    the terminal, None if there is none, so that nothing is shortened.
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
    if rows and hasattr(rows[0], "children"):
        from shctl.common.tree import draw

        return draw(rows, unicode=(sys.stdout.encoding or "").lower().startswith("utf"))
    if isinstance(data, list) and not any(map(_has_tables, rows)):
        return _table(rows, width=width)
    return "\n\n".join(_sheet(row, width) for row in rows)


def line(row: Any, output: str) -> str:
    """Return a row of a stream as a line: its fields, its name or a JSON object."""
    if output == "json":
        return to_json(row, indent=None)
    columns = ["name"] if output == "name" else row.columns
    return "  ".join(_cell(name, getattr(row, name), {}) for name in columns)


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
    return {name: getattr(row, name) for name in getattr(row, "shown", row.__slots__)}


def _table(rows: Sequence[Any], margin: str = "", width: int | None = None) -> str:
    if not rows:
        return ""
    # These columns are left out if all rows are empty, such as the trunk of access ports, unless
    # the user chooses the columns.
    is_list = hasattr(rows[0], "shown")
    optional = set() if is_list else {"trunk", "kept", "addresses", "result"}
    columns = [c for c in rows[0].columns if c not in optional or any(getattr(r, c) for r in rows)]
    lines = [[(_HEADERS.get(c, c) if is_list else c).upper() for c in columns]]
    lines += [
        [_cell(_unit_of(row, c), getattr(row, c), _units(row)) for c in columns] for row in rows
    ]
    room = None if width is None else width - len(margin)
    return "\n".join(margin + line for line in layout(columns, lines, room, _coloured))


def _unit_of(row: Any, column: str) -> str:
    """Return the name by which a cell's unit is known; that of a value is its row's key."""
    return getattr(row, "key", column) if column == "value" else column


def _sheet(row: Any, width: int | None = None) -> str:
    """Return one object, one field per line; lists of objects are tables below their names."""
    label = max(len(name) for name in row.columns) + 2
    units = _units(row)
    fields = (_field(name, getattr(row, name), label, units, width) for name in row.columns)
    return "\n".join(fields)


def _has_tables(row: Any) -> bool:
    return any(_is_table(getattr(row, name)) for name in row.columns)


def _is_table(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and hasattr(value[0], "columns")


def _field(name: str, value: Any, indent: int, units: Mapping[str, str], width: int | None) -> str:
    label = name.upper()
    if _is_table(value):
        return f"{label}\n{_table(value, margin='  ', width=width)}"
    if hasattr(value, "columns"):
        return f"{label}\n{_sheet(value)}".replace("\n", "\n  ")
    return f"{label.ljust(indent)}{_coloured(_cell(name, value, units))}"


def _units(row: Any) -> Mapping[str, str]:
    """Return the units of a row's columns: its own, or those that such columns always have."""
    return getattr(row, "units", UNITS)


def _cell(name: str, value: Any, units: Mapping[str, str]) -> str:
    if type(value) is str:  # most are
        return clean(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == ():
        return "-"
    if isinstance(value, tuple):
        return ",".join(clean(str(item)) for item in value)
    if name == "age":
        return _age(value)
    if isinstance(value, float):
        value = f"{value:.2f}".rstrip("0").rstrip(".")
    text = clean(str(value))
    return f"{text} {units[name]}" if name in units else text


def _age(seconds: int) -> str:
    """Return an age in its largest unit: 45s, 12m, 7h or 3d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _coloured(cell: str) -> str:
    colour = _COLOURS.get(cell.strip())
    return click.style(cell, fg=colour) if colour else cell
