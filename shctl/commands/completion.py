"""Shell completion of names that exist on the hypervisor.

Errors are swallowed; completion cannot report them.
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
# bash inserts names unquoted: it would run $(...), and shctl would take -x for an option.
_SAFE_NAME = re.compile(r"\w[\w.+:@%,=/-]*")
OPEN_TIMEOUT = 1.0  # seconds; a user who presses Tab does not wait longer


def hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the matching hosts."""
    return _names(ctx, param, incomplete, lambda hypervisor: [h.name for h in hypervisor.hosts()])


def networks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the matching networks."""
    return _names(
        ctx, param, incomplete, lambda hypervisor: [n.name for n in hypervisor.networks()]
    )


def pools(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the matching storage pools."""
    return _names(ctx, param, incomplete, lambda hypervisor: hypervisor.pool_names())


def bridges(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the matching Open vSwitch bridges; none for users other than root."""
    from shctl.networks.choice import switch_of

    return _names(ctx, param, incomplete, lambda hypervisor: switch_of(hypervisor).bridges())


def disks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the matching disks of the host that the command line names."""
    host = str(ctx.params.get("name") or "")
    return _names(ctx, param, incomplete, lambda hypervisor: _disks(hypervisor, host))


def _disks(hypervisor: Hypervisor, host: str) -> list[str]:
    from shctl.xml import domain

    return [row.target for row in domain.read(hypervisor.domain(host).xml(stored=True)).disks]


def interfaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the matching indexes of the interfaces of the host that was typed."""

    def query(hypervisor: Hypervisor) -> list[str]:
        from shctl.hosts.details import interface_indexes

        found = interface_indexes(hypervisor.domain(str(ctx.params.get("name"))))
        return [str(index) for index in sorted(found.values())]

    return _names(ctx, param, incomplete, query)


def tokens(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the matching tokens; none for users other than root."""
    from shctl.common import token_file

    try:
        found = [token.name for token in token_file.tokens()]
    except ShctlError:
        return []
    return _matching(found, ctx, param, incomplete)


def _names(
    ctx: click.Context,
    param: click.Parameter,
    incomplete: str,
    query: Callable[[Hypervisor], Iterable[str]],
) -> list[str]:
    uri = _uri(ctx)
    # A remote connection may ask for a password.
    if not _is_local(uri):
        return []
    from shctl.hypervisor.connection import Hypervisor

    try:
        found = list(query(Hypervisor(uri, open_timeout=OPEN_TIMEOUT, read_only=True)))
    except ShctlError:
        return []
    return _matching(found, ctx, param, incomplete)


def _matching(
    found: list[str], ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[str]:
    """Return the safe names with this prefix that are not in the command line already."""
    typed = ctx.params.get(param.name or "")
    taken = typed if isinstance(typed, (tuple, list)) else ()
    matching = [name for name in found if name.startswith(incomplete) and name not in taken]
    return [name for name in matching if _SAFE_NAME.fullmatch(name)]


def _uri(ctx: click.Context) -> str:
    # click does not run the root's callback during completion, so the session has no URI.
    return str(ctx.find_root().params.get("connect") or DEFAULT_URI)


def _is_local(uri: str) -> bool:
    scheme, _, rest = uri.partition("://")
    return rest.startswith("/") and "+" not in scheme
