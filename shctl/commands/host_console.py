"""`shctl hosts log`, `console`, `screenshot` and `vnc`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Command, LocalCommand
from shctl.commands.session import Session
from shctl.commands.types import HOST, Number
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shctl.common.stream import Stream
    from shctl.hosts.vnc import VncAddress


@click.command(
    "log",
    cls=Command,
    examples=[
        "shctl hosts log web1",
        "shctl hosts log web1 --since-boot",
        "shctl hosts log web1 -f --tail 20 --plain",
    ],
)
@click.argument("name", type=HOST)
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Continue with what the host writes later.",
)
@click.option(
    "--tail", type=Number(0, 10**6), metavar="N", help="Print only the last N lines so far."
)
@click.option("--since-boot", is_flag=True, help="Leave out what was written before the last boot.")
@click.option(
    "--plain",
    is_flag=True,
    help="Print the lines that a terminal would show, for programs that draw on the screen.",
)
@click.option("--raw", is_flag=True, help="Print control characters as the guest wrote them.")
@click.pass_obj
def show_log(
    session: Session,
    name: str,
    tail: int | None,
    since_boot: bool,
    plain: bool,
    raw: bool,
    follow: bool,
) -> Iterator[str | bytes] | Stream[str | bytes]:
    """Print the log of a host's serial console, since its first boot.

    The firmware writes to the console too, so the log begins with the first second of a boot.
    Control characters and invalid UTF-8 are replaced, since a terminal would interpret them; a
    carriage return becomes a line feed. Only the last 16 MiB of a longer log are printed, with
    --plain the last 2 MiB. Logs are read only below /var/log/shctl/console and /var/log/libvirt.
    """
    from shctl.hosts.console_log import follow_log, read_log
    from shctl.hosts.log_view import View

    # A JSON string has an end, and this log has none.
    if follow and session.output == "json":
        raise InvalidInput("a log cannot be followed with -o json; use -o table")
    if raw and plain:
        raise InvalidInput("raw: not possible with --plain", field="raw")
    view = View(raw=raw, plain=plain, tail=tail, since_boot=since_boot)
    # The connection of a request ends with its command.
    return (
        follow_log(session.lasting, name, view)
        if follow
        else read_log(session.hypervisor, name, view)
    )


@click.command("console", cls=LocalCommand, examples=["shctl hosts console web1"])
@click.argument("name", type=HOST)
@click.pass_obj
def open_console(session: Session, name: str) -> None:
    """Open a host's serial console in this terminal; Ctrl-] closes it.

    The terminal interprets control characters of the guest; 'hosts log -f' replaces them.
    """
    from shctl.hosts.terminal import attach

    attach(session.hypervisor.domain(name).console)


@click.command("screenshot", cls=LocalCommand, examples=["shctl hosts screenshot web1 -w web1.png"])
@click.argument("name", type=HOST)
@click.option(
    "-w",
    "--write",
    "file",
    required=True,
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="File to write, in PNG format; - is standard output.",
)
@click.pass_obj
def take_screenshot(session: Session, name: str, file: str) -> bytes | None:
    """Save a screenshot of a host."""
    from shctl.hosts.screenshot import take, write

    png = take(session.hypervisor.domain(name))
    if file == "-":
        return png
    write(png, file)
    return None


@click.command(
    "vnc",
    cls=LocalCommand,
    examples=["shctl hosts vnc web1", "shctl -o name hosts vnc web1 | xargs vncviewer"],
)
@click.argument("name", type=HOST)
@click.pass_obj
def show_vnc(session: Session, name: str) -> VncAddress:
    """Show the address of a running host's screen, for a VNC viewer.

    The display is the address in the form that viewers take, and what -o name prints. Hosts that
    shctl created have a VNC server without a password, so it listens only on the hypervisor's
    loopback address. To see the screen from another machine, forward the port with ssh: if the
    address is 127.0.0.1:5901, after 'ssh -L 5900:127.0.0.1:5901 HYPERVISOR' the display there is
    127.0.0.1:0.
    """
    from shctl.hosts.vnc import find

    return find(session.hypervisor, name)
