"""`shctl events`: what happens to hosts and networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Command
from shctl.commands.option_kinds import LocalOption
from shctl.commands.session import Session
from shctl.commands.types import HOST

if TYPE_CHECKING:
    from shctl.common.rows import Event
    from shctl.common.stream import Stream


@click.command(
    cls=Command,
    examples=[
        "shctl events --follow",
        "shctl events --host web1",
        "shctl -o json events --follow",
    ],
)
@click.option("--host", type=HOST, metavar="NAME", help="Only events of this host.")
@click.option(
    "-f",
    "--follow",
    cls=LocalOption,
    is_flag=True,
    help="Go on until Ctrl-C; without this, end after the next event. With -o json each event is a"
    " line.",
)
@click.pass_obj
def events(session: Session, host: str | None, follow: bool) -> Stream[Event]:
    """Print what happens to hosts and networks, by any program.

    Events are host.created, host.changed, host.started, host.paused, host.resumed, host.asleep,
    host.stopped, host.crashed, host.deleted, host.install (a phase of the installation),
    host.address (seen by this machine), and network.created, network.changed, network.started,
    network.stopped, network.deleted. What changed while libvirtd did not run is printed afterwards,
    with a detail that says so.
    """
    # A response goes on until its client leaves.
    return session.feed.follow(host, session.after, once=session.local and not follow)
