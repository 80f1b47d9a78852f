"""Pass several options of a command as one object."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

Function = Callable[..., Any]


def grouped(
    name: str, make: Callable[..., object], *options: Callable[[Function], Function]
) -> Callable[[Function], Function]:
    """Add options whose values a command gets as one argument `name`: make(**values)."""

    def decorate(function: Function) -> Function:
        @wraps(function)
        def run(*args: Any, **given: Any) -> Any:
            values = {option: given.pop(option) for option in added}
            return function(*args, **{name: make(**values)}, **given)

        # click collects a command's parameters in this list, last decorator first.
        params: list[click.Parameter] = run.__dict__.setdefault("__click_params__", [])
        others = len(params)
        for option in reversed(options):
            option(run)
        added = [param.name or "" for param in params[others:]]
        return run

    return decorate
