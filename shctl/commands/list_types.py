"""click parameter types of lists: columns, and what to sort by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shctl.commands.types import item

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class ColumnList(click.ParamType):
    """Names of columns, joined by commas, or all."""

    name = "columns"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the columns, each once; fail for one that does not exist."""
        if isinstance(value, tuple):  # click converts defaults again
            return value
        names = [name.strip() for name in str(value).split(",")]
        if names == ["all"]:
            return self.known
        for name in names:
            if name not in self.known:
                known = ", ".join(self.known)
                self.fail(f"there is no column {name[:40]!r}; use all, or {known}", param, ctx)
        return tuple(dict.fromkeys(names))

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the columns that may come next."""
        before, comma, last = incomplete.rpartition(",")
        return [item(f"{before}{comma}{name}") for name in self.known if name.startswith(last)]


class SortKey(click.ParamType):
    """A column to sort by; a minus sign before it reverses the order."""

    name = "column"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the column with its sign; fail for one that does not exist."""
        if str(value).removeprefix("-") not in self.known:
            known = ", ".join(self.known)
            self.fail(f"there is no column {str(value)[:40]!r}; use one of {known}", param, ctx)
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the matching columns."""
        return [item(name) for name in self.known if name.startswith(incomplete)]
