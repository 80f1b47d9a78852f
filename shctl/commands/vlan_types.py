"""click parameter types of VLAN tags."""

from __future__ import annotations

import re
from typing import Any

import click

from shctl.commands.types import Number

AUTO = "auto"
TAG = Number(1, 4094)  # IEEE 802.1Q reserves 0 and 4095


class TagOrAuto(Number):
    """A VLAN tag, or auto for one that is free."""

    name = "tag"

    def convert(  # type: ignore[override]
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return the tag, or "auto"; fail for anything else."""
        return AUTO if value == AUTO else super().convert(value, param, ctx)


class TagRange(click.ParamType):
    """A range of VLAN tags, such as 100-199."""

    name = "range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> range:
        """Return the tags; fail if it is malformed, empty or beyond 1 to 4094."""
        if isinstance(value, range):
            return value
        found = re.fullmatch(r"([0-9]{1,4})-([0-9]{1,4})", str(value))
        low, high = (int(found[1]), int(found[2])) if found else (0, 0)
        if not TAG.min <= low <= high <= TAG.max:  # type: ignore[operator]
            self.fail(
                f"{str(value)[:40]!r} is not a range within 1-4094, such as 100-199", param, ctx
            )
        return range(low, high + 1)
