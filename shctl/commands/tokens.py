"""`shctl tokens`: access tokens for the REST server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands import completion
from shctl.commands.base import DRY_RUN, Group, LocalCommand
from shctl.commands.batch import check_each, for_each
from shctl.commands.confirmation import confirmed, count
from shctl.commands.session import Session
from shctl.commands.types import CheckedName, Number
from shctl.common import names
from shctl.common.errors import ShctlError

if TYPE_CHECKING:
    from shctl.common.model import ChangePlan, NewToken, Outcome, Token

# The rule for networks: no blanks or line breaks, since logs contain these names.
NEW_NAME = CheckedName("token", names.check_network)
NAME = CheckedName("token", names.check_network, completion.tokens)


@click.group(cls=Group)
def tokens() -> None:
    """Create, list and delete access tokens for the REST server.

    Clients of its Unix socket need no token; the file's permissions decide who may connect.
    """


@tokens.command(
    "create",
    # Not over REST: a token that creates others would outlive its expiry.
    cls=LocalCommand,
    examples=[
        "shctl tokens create pipeline --scope admin --expires 90",
        "shctl tokens create monitoring --scope read",
    ],
)
@click.argument("name", type=NEW_NAME)
@click.option(
    "--scope",
    required=True,
    type=click.Choice(["read", "power", "admin"]),
    help="What the token allows: read only; also start and stop hosts; everything.",
)
@click.option(
    "--expires",
    type=Number(1, 3650, "days"),  # ten years
    metavar="DAYS",
    help="Days until the token expires. By default it never expires.",
)
@DRY_RUN
@click.pass_obj
def create_token(
    session: Session, name: str, scope: str, expires: int | None, dry_run: bool
) -> NewToken | ChangePlan:
    """Create a token and print its secret, which is not stored and cannot be shown again.

    If the secret cannot be printed, the token is revoked.
    """
    from shctl.common import token_file
    from shctl.common.signals import deferred

    if dry_run:
        return token_file.plan_creation(name, scope)
    # A signal between the two lines would leave a token whose secret nobody has.
    with deferred():
        made = token_file.create(name, scope, expires)
        session.undo_unprinted = lambda: _revoke(name)
    return made


def _revoke(name: str) -> str:
    from shctl.common.token_file import delete

    try:
        delete(name, if_exists=True)
    except ShctlError as error:
        return (
            f"cannot print the secret of token {name!r}, nor revoke the token ({error}); run"
            f" 'shctl tokens delete {name} --yes'"
        )
    return f"cannot print the secret of token {name!r}, so the token is revoked"


@tokens.command("list", cls=LocalCommand, examples=["shctl tokens list"])
def list_tokens() -> list[Token]:
    """List tokens, without their secrets."""
    from shctl.common import token_file

    return token_file.tokens()


def _ask_tokens(names: tuple[str, ...], if_exists: bool, dry_run: bool) -> str:  # noqa: ARG001
    from shctl.common.token_file import preview

    texts = check_each(names, lambda name: preview(name, if_exists=if_exists))
    return f"Delete {count(len(texts), 'token')} ({', '.join(texts)}) for good?" if texts else ""


@tokens.command("delete", cls=LocalCommand, examples=["shctl tokens delete pipeline --yes"])
@click.argument("names", type=NAME, nargs=-1, required=True, metavar="NAME...")
@click.option("--if-exists", is_flag=True, help="Succeed if a token does not exist.")
@DRY_RUN
# No --yes is needed in scripts: revoking is urgent, and loses no data.
@confirmed(_ask_tokens, refuses=False)
def delete_tokens(
    names: tuple[str, ...], if_exists: bool, dry_run: bool
) -> list[Outcome] | list[ChangePlan]:
    """Revoke tokens and delete them."""
    from shctl.common.token_file import delete, plan_deletion

    if dry_run:
        return for_each(names, lambda name: plan_deletion(name, if_exists=if_exists))
    return for_each(names, lambda name: delete(name, if_exists=if_exists))
