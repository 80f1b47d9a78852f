"""What can stand where somebody presses Tab: names that exist on the hypervisor at this moment.

Whatever goes wrong there is nothing to offer: a shell has no place for an error in mid-word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from shctl.commands.session import DEFAULT_URI
from shctl.common.errors import ShctlError

if TYPE_CHECKING:
    from shctl.hypervisor.connection import Hypervisor

Completer = Callable[[click.Context, click.Parameter, str], list[str]]
# bash puts a name into the line as it is: of others $(...) would be run, and -x be an option.
_PLAIN = re.compile(r"\w[\w.+:@%,=/-]*")
PATIENCE = 1.0  # seconds that somebody waits for a daemon that does not answer


def hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the hosts that begin like this."""
    return _names(ctx, param, incomplete, lambda hypervisor: [h.name for h in hypervisor.hosts()])


def networks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the networks that begin like this."""
    return _names(
        ctx, param, incomplete, lambda hypervisor: [n.name for n in hypervisor.networks()]
    )


def pools(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the storage pools that begin like this."""
    return _names(ctx, param, incomplete, lambda hypervisor: hypervisor.pool_names())


def bridges(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the Open vSwitch bridges that begin like this; only root may see them."""
    from shctl.networks.choice import switch_of

    return _names(ctx, param, incomplete, lambda hypervisor: switch_of(hypervisor).bridges())


def tokens(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the tokens that begin like this; only root may see them."""
    from shctl.common import token_file

    try:
        found = [token.name for token in token_file.tokens()]
    except ShctlError:
        return []
    return _fitting(found, ctx, param, incomplete)


def _names(
    ctx: click.Context,
    param: click.Parameter,
    incomplete: str,
    ask: Callable[[Hypervisor], Iterable[str]],
) -> list[str]:
    uri = _uri(ctx)
    # To ask another machine could mean to ask for a password first.
    if not _is_here(uri):
        return []
    from shctl.hypervisor.connection import Hypervisor

    try:
        found = list(ask(Hypervisor(uri, open_timeout=PATIENCE, read_only=True)))
    except ShctlError:
        return []
    return _fitting(found, ctx, param, incomplete)


def _fitting(
    found: list[str], ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[str]:
    """Return the names that begin like this and do not stand in the line already."""
    typed = ctx.params.get(param.name or "")
    taken = typed if isinstance(typed, (tuple, list)) else ()
    fit = [name for name in found if name.startswith(incomplete) and name not in taken]
    return [name for name in fit if _PLAIN.fullmatch(name)]


def _uri(ctx: click.Context) -> str:
    # The root's callback, which would tell the session, does not run while a line is completed.
    return str(ctx.find_root().params.get("connect") or DEFAULT_URI)


def _is_here(uri: str) -> bool:
    scheme, _, rest = uri.partition("://")
    return rest.startswith("/") and "+" not in scheme
