"""The question before a deletion, and the option --yes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any

import click

from shctl.commands.option_kinds import LocalOption
from shctl.commands.session import Session
from shctl.common.errors import InvalidInput

Ask = Callable[..., str]


def _names(names: Iterable[str], **_: Any) -> str:
    return f"delete {', '.join(names)}"


def confirmed(
    ask: Ask, *, refuses: bool = True, what: Callable[..., str] = _names
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --yes; without it, ask for confirmation, or refuse if there is no terminal.

    `ask` takes the command's arguments. It raises the errors that would stop the deletion, and
    returns the question, or "" if there is nothing to delete. REST has no --yes: a DELETE request
    needs no confirmation, nor does a dry run. With `refuses` False, a script may delete without
    --yes. `what` takes the command's parameters, `names` by default, and returns what is refused.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*args: Any, yes: bool, **kwargs: Any) -> Any:
            session = click.get_current_context().find_object(Session)
            if session and session.local and not yes and not kwargs.get("dry_run"):
                question = partial(ask, *args, **kwargs)
                _confirm(session, question, what(**kwargs), refuses=refuses)
            return function(*args, **kwargs)

        required = "; required without a terminal" if refuses else ""
        text = f"Do not ask for confirmation{required}."
        return click.option("-y", "--yes", cls=LocalOption, is_flag=True, help=text)(run)

    return decorate


def _confirm(session: Session, ask: Callable[[], str], what: str, *, refuses: bool) -> None:
    if session.ask is None:
        if not refuses:
            return
        raise InvalidInput(f"refusing to {what} without --yes: no terminal to ask for confirmation")
    question = ask()
    if question and not session.ask(question):
        # Exit code 1: nothing was invalid, and nothing was done.
        raise click.ClickException("nothing was deleted: the answer was no")


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 host, 2 hosts."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
