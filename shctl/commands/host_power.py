"""`shctl hosts start`, `stop`, `reboot` and `wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import DRY_RUN, Command
from shctl.commands.batch import for_each
from shctl.commands.option_kinds import PROGRESS, LocalOption
from shctl.commands.session import Session
from shctl.commands.types import HOSTS, Duration
from shctl.common import defaults

if TYPE_CHECKING:
    from shctl.common.model import ChangePlan, HostDetail, Outcome


@click.command("start", cls=Command, examples=["shctl hosts start web1 web2"])
@HOSTS
@DRY_RUN
@click.pass_obj
def start_hosts(
    session: Session, names: tuple[str, ...], dry_run: bool
) -> list[Outcome] | list[ChangePlan]:
    """Start hosts, or resume paused ones."""
    from shctl.hosts import power_preview
    from shctl.hosts.installation import advance
    from shctl.hosts.power import start

    if dry_run:
        return for_each(names, lambda name: power_preview.start(session.hypervisor, name))

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
@PROGRESS
@DRY_RUN
@click.pass_obj
def stop_hosts(
    session: Session,
    names: tuple[str, ...],
    force: bool,
    timeout: float | None,
    dry_run: bool,
    progress: bool = False,
) -> list[Outcome] | list[ChangePlan]:
    """Shut hosts down and wait until they are off."""
    from shctl.hosts import power_preview
    from shctl.hosts.stopping import stop

    def plan(name: str) -> ChangePlan:
        return power_preview.stop(session.hypervisor, name, force=force, timeout=timeout)

    def act(name: str) -> Outcome:
        return stop(session.hypervisor, name, force=force, timeout=timeout)

    if dry_run:
        return for_each(names, plan)

    session.interrupted = "interrupted; the guests that were asked to shut down still do"
    limit = timeout
    if limit is None and not force:
        limit = defaults.STOP_TIMEOUT
    with session.show_live(names, limit, lines=progress, goal="shutting down"):
        # Each waits for its guest; one after the other, a rack would take minutes.
        return for_each(names, act, concurrently=True)


@click.command("reboot", cls=Command, examples=["shctl hosts reboot web1"])
@HOSTS
@click.option("--force", is_flag=True, help="Reset at once instead of asking the guest.")
@DRY_RUN
@click.pass_obj
def reboot_hosts(
    session: Session, names: tuple[str, ...], force: bool, dry_run: bool
) -> list[Outcome] | list[ChangePlan]:
    """Reboot running hosts."""
    from shctl.hosts import power_preview
    from shctl.hosts.stopping import reboot

    if dry_run:
        return for_each(
            names, lambda name: power_preview.reboot(session.hypervisor, name, force=force)
        )
    return for_each(names, lambda name: reboot(session.hypervisor, name, force=force))


@click.command(
    "wait",
    cls=Command,
    examples=[
        "shctl hosts wait web1 --for installed --timeout 90m",
        "shctl hosts wait web1 web2 --for address --timeout 300",
        "shctl hosts wait web1 web2 web3 --for stopped --any",
    ],
)
@HOSTS
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
@click.option(
    "--any/--all",
    "any_host",
    cls=LocalOption,
    default=False,
    help="Wait for the first of several hosts, or for all, which is the default. A host that can"
    " never get there is an error only if no other is left.",
)
@PROGRESS
@click.pass_obj
def wait_for_hosts(
    session: Session,
    names: tuple[str, ...],
    condition: str,
    timeout: float,
    any_host: bool = False,
    progress: bool = False,
) -> HostDetail | list[HostDetail]:
    """Wait until hosts are running, stopped, installed, or have an IP address.

    When the installer of a host ends meanwhile, the host boots from its disk. The details of one
    host are an object in JSON, those of several a list.
    """
    from shctl.hosts.waiting import wait, wait_for_any

    again = f"shctl hosts wait {' '.join(names)} --for {condition}"
    session.interrupted = f"interrupted; nothing was changed, and '{again}' waits again"
    with session.show_live(names, timeout, lines=progress, goal=f"waiting for {condition}"):
        if any_host:
            return wait_for_any(session.hypervisor, names, condition, timeout)
        found = for_each(
            names,
            lambda name: wait(session.hypervisor, name, condition, timeout),
            concurrently=True,
        )
        return found[0] if len(found) == 1 else found
