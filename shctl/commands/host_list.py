"""`shctl hosts list`, with its filters and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Command
from shctl.commands.list_types import ColumnList, SortKey
from shctl.commands.option_kinds import LocalOption
from shctl.commands.session import Session
from shctl.commands.types import NETWORK, PATTERN
from shctl.commands.vlan_types import TAG
from shctl.common.rows import HOST_COLUMNS
from shctl.common.states import DomainState

if TYPE_CHECKING:
    from shctl.commands.updates import Updates
    from shctl.common.rows import HostRow

STATES = [state.value for state in DomainState]
INSTALLS = ["installing", "installed", "failed", "none"]


@click.command(
    "list",
    cls=Command,
    examples=[
        "shctl hosts list",
        "shctl hosts list 'web*' --state running",
        "shctl -o json hosts list --columns all --sort memory",
    ],
)
@click.argument("patterns", nargs=-1, type=PATTERN, metavar="[PATTERN]...")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES),
    metavar="STATE",
    help="List only hosts in this state, such as running or 'shut off'. Repeatable.",
)
@click.option("--network", type=NETWORK, metavar="NET", help="List only hosts on this network.")
@click.option(
    "--vlan", type=TAG, metavar="TAG", help="List only hosts with an interface on this VLAN."
)
@click.option(
    "--install",
    type=click.Choice(INSTALLS),
    help="List only hosts with this state of their installation.",
)
@click.option(
    "--sort",
    default="name",
    show_default=True,
    type=SortKey(HOST_COLUMNS),
    metavar="COLUMN",
    help="Column to sort by; -COLUMN reverses the order.",
)
@click.option(
    "--columns",
    type=ColumnList(HOST_COLUMNS),
    metavar="LIST",
    help="Columns to show, joined by commas, or all.",
)
@click.option("--watch", cls=LocalOption, is_flag=True, help="List again whenever a host changes.")
@click.pass_obj
def list_hosts(
    session: Session,
    patterns: tuple[str, ...],
    states: tuple[str, ...],
    network: str | None,
    vlan: int | None,
    install: str | None,
    sort: str,
    columns: tuple[str, ...] | None,
    watch: bool = False,
) -> list[HostRow] | Updates:
    """List the hosts on the hypervisor, including those that shctl does not manage.

    A PATTERN is a name or a shell pattern, such as 'web*'; without any, all hosts are listed.
    Columns are id, name, state, install, memory, cpus, vlans, networks, addresses, created, age,
    managed and autostart. JSON has id, name and state unless columns are given. Addresses are those
    that this machine has seen; 'hosts show' asks the guest too.
    """
    from shctl.hosts import listing

    wanted = listing.Filter(patterns, states, network, vlan, install)
    shown = columns or (listing.TABLE if session.shows_table else listing.SHORT)

    def read() -> list[HostRow]:
        return listing.list_hosts(session.hypervisor, wanted, shown, sort)

    if watch:
        from shctl.commands import updates

        return updates.Updates(session.hypervisor, read)
    found = read()
    if not found:
        session.note("no host matches" if wanted else "no hosts; 'shctl hosts create' makes one")
    return found
