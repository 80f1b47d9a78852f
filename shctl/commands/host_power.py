"""`shctl hosts start`, `stop`, `reboot` and `wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Command
from shctl.commands.batch import for_each
from shctl.commands.session import Session
from shctl.commands.types import HOST, HOSTS, Duration
from shctl.common import defaults

if TYPE_CHECKING:
    from shctl.common.model import HostDetail, Outcome


@click.command("start", cls=Command, examples=["shctl hosts start web1 web2"])
@HOSTS
@click.pass_obj
def start_hosts(session: Session, names: tuple[str, ...]) -> list[Outcome]:
    """Start hosts, or resume paused ones."""
    from shctl.hosts.installation import advance
    from shctl.hosts.power import start

    # Refuse before any of them has started.
    session.hypervisor.check_writable()

    def act(name: str) -> Outcome:
        # The installer may have ended: then the host must start from its disk.
        advance(session.hypervisor, name)
        return start(session.hypervisor, name)

    return for_each(names, act)


@click.command(
    "stop",
    cls=Command,
    examples=["shctl hosts stop web1 --timeout 120", "shctl hosts stop web1 web2 --force"],
)
@HOSTS
@click.option(
    "--force", is_flag=True, help="Power off at once, or once --timeout has passed if it is given."
)
@click.option(
    "--timeout",
    # No default here: with --force, no timeout means at once.
    type=Duration(0, 86400),  # seconds
    metavar="TIME",
    help=f"Time for a clean shutdown: seconds, or 2m.  [default: {defaults.STOP_TIMEOUT:g}]",
)
@click.pass_obj
def stop_hosts(
    session: Session, names: tuple[str, ...], force: bool, timeout: float | None
) -> list[Outcome]:
    """Shut hosts down and wait until they are off."""
    from shctl.hosts.stopping import stop

    def act(name: str) -> Outcome:
        return stop(session.hypervisor, name, force=force, timeout=timeout)

    # Each waits for its guest; one after the other, a rack would take minutes.
    return for_each(names, act, concurrently=True)


@click.command("reboot", cls=Command, examples=["shctl hosts reboot web1"])
@HOSTS
@click.option("--force", is_flag=True, help="Reset at once instead of asking the guest.")
@click.pass_obj
def reboot_hosts(session: Session, names: tuple[str, ...], force: bool) -> list[Outcome]:
    """Reboot running hosts."""
    from shctl.hosts.stopping import reboot

    return for_each(names, lambda name: reboot(session.hypervisor, name, force=force))


@click.command(
    "wait",
    cls=Command,
    examples=[
        "shctl hosts wait web1 --for installed --timeout 90m",
        "shctl hosts wait web1 --for address --timeout 300",
    ],
)
@click.argument("name", type=HOST)
@click.option(
    "--for",
    "condition",
    required=True,
    type=click.Choice(["running", "stopped", "installed", "address"]),
    help="What to wait for.",
)
@click.option(
    "--timeout",
    default=f"{defaults.WAIT_TIMEOUT / 3600:g}h",
    show_default=True,
    type=Duration(0, 7 * 86400),  # seconds; 0 only checks
    metavar="TIME",
    help="Time to wait: seconds, or 90m, 2h.",
)
@click.pass_obj
def wait_for_host(session: Session, name: str, condition: str, timeout: float) -> HostDetail:
    """Wait until a host is running, stopped, installed, or has an IP address.

    When the installer of the host ends meanwhile, the host boots from its disk.
    """
    from shctl.hosts.waiting import wait

    return wait(session.hypervisor, name, condition, timeout)
