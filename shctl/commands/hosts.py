"""`shctl hosts`: commands about hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shctl.commands.base import (
    DRY_RUN,
    Group,
    LazyGroup,
)
from shctl.commands.batch import check_each, for_each
from shctl.commands.confirmation import confirmed, count
from shctl.commands.host_console import open_console, show_log, show_vnc, take_screenshot
from shctl.commands.host_creation import MAX_CPUS, MAX_MEMORY, create_host
from shctl.commands.host_list import list_hosts
from shctl.commands.host_power import reboot_hosts, start_hosts, stop_hosts, wait_for_hosts
from shctl.commands.session import Session
from shctl.commands.types import HOST, HOSTS, Number

if TYPE_CHECKING:
    from shctl.common.model import Changed, ChangePlan, DeletionPlan, HostDetail, Outcome


@click.group(cls=Group)
def hosts() -> None:
    """Create, start, stop, watch and delete hosts."""


hosts.add_command(list_hosts)


@hosts.command("show", examples=["shctl hosts show web1", "shctl -o json hosts show web1"])
@click.argument("name", type=HOST)
@click.pass_obj
def show_host(session: Session, name: str) -> HostDetail:
    """Show a host's hardware and state."""
    from shctl.hosts.details import show

    return show(session.hypervisor, name)


hosts.add_command(create_host)


@hosts.command(
    "set",
    examples=[
        "shctl hosts set web1 --memory 2G --cpus 4",
        "shctl hosts set web1 --autostart",
        "shctl hosts set web1 --firmware uefi --dry-run",
    ],
)
@click.argument("name", type=HOST)
@click.option("--memory", type=Number(16, MAX_MEMORY, "MiB"), metavar="MIB", help="Memory, in MiB.")
@click.option("--cpus", type=Number(1, MAX_CPUS), metavar="N", help="Number of virtual CPUs.")
@click.option(
    "--autostart/--no-autostart",
    default=None,
    help="Start the host whenever the hypervisor boots, or not.",
)
@click.option(
    "--firmware",
    type=click.Choice(["bios", "uefi"]),
    help="Firmware of the host. An installed system may not boot with another one.",
)
@click.option(
    "--virt-type",
    type=click.Choice(["auto", "kvm", "qemu"]),
    help="KVM, or QEMU's slow emulation (TCG); auto uses KVM where it works.",
)
@click.option("--overcommit", is_flag=True, help="Set --memory even if the machine has too little.")
@DRY_RUN
@click.pass_obj
def set_host(
    session: Session, name: str, overcommit: bool, dry_run: bool, **values: Any
) -> Changed | ChangePlan:
    """Change a host's memory, CPUs, firmware, kind of virtualization or autostart.

    All of the changes are made, or none. Each has "applied" in the answer: "now", or "next start"
    for what QEMU gets only when the host starts again after it was off; a reboot within the guest
    is not enough. Autostart changes now, and so do CPUs that are added to a running host, up to
    its maximum; everything else changes at the next start, and 'hosts show' lists it as pending.

    The host keeps its disks, MAC addresses and serial numbers, and what other programs added to its
    definition. A host cannot be changed while it is being installed, except for autostart.
    """
    from shctl.hosts import setting
    from shctl.hosts.setting_plan import Values

    run = setting.preview if dry_run else setting.set_values
    return run(session.hypervisor, name, Values(**values), overcommit=overcommit)


@hosts.group(
    "disks",
    cls=LazyGroup,
    members={
        "list": ("shctl.commands.disks:list_disks", "List the disks of a host."),
        "show": ("shctl.commands.disks:show_disk", "Show a disk of a host."),
        "add": ("shctl.commands.disks:add_disk", "Add a disk to a host, also while it runs."),
        "resize": ("shctl.commands.disks:resize_disk", "Enlarge a disk of a host."),
        "remove": ("shctl.commands.disks:remove_disk", "Remove a disk from a host for good."),
    },
)
def disks() -> None:
    """List, add, resize and remove the disks of a host."""


@hosts.group(
    "interfaces",
    cls=LazyGroup,
    members={
        "list": ("shctl.commands.interfaces:list_interfaces", "List the interfaces of a host."),
        "show": ("shctl.commands.interfaces:show_interface", "Show an interface of a host."),
        "add": ("shctl.commands.interfaces:add_interface", "Add an interface to a host."),
        "set": ("shctl.commands.interfaces:set_interface", "Move an interface, or set its link."),
        "remove": ("shctl.commands.interfaces:remove_interface", "Remove an interface."),
    },
)
def interfaces() -> None:
    """List, add, change and remove the network interfaces of a host."""


for _command in (
    start_hosts, stop_hosts, reboot_hosts, wait_for_hosts, show_log, open_console, take_screenshot,
    show_vnc,
):  # fmt: skip
    hosts.add_command(_command)


def _ask_hosts(session: Session, names: tuple[str, ...], if_exists: bool, **_: bool) -> str:
    from shctl.hosts.deletion import BulkDeletion

    deletion = BulkDeletion(session.hypervisor)
    plans = check_each(names, lambda name: deletion.plan(name, if_exists=if_exists))
    if not plans:
        return ""
    disks, size = sum(len(plan.owned) for plan in plans), sum(plan.size for plan in plans)
    running = [plan.name for plan in plans if plan.running]
    return (
        f"Delete {count(len(plans), 'host')} ({', '.join(plan.name for plan in plans)};"
        f" running: {', '.join(running) or 'none'}) with {count(disks, 'disk')}"
        f" ({size:g} GiB) for good?"
    )


@hosts.command(
    "delete", examples=["shctl hosts delete web1 web2 --yes", "shctl hosts delete web1 --dry-run"]
)
@HOSTS
@click.option("--if-exists", is_flag=True, help="Succeed if a host does not exist.")
@DRY_RUN
@click.pass_obj
@confirmed(_ask_hosts)
def delete_hosts(
    session: Session, names: tuple[str, ...], if_exists: bool, dry_run: bool
) -> list[Outcome] | list[DeletionPlan]:
    """Delete hosts in any state, with the disks that they own.

    With --dry-run nothing is deleted: the steps of each deletion are returned, and the disks that
    it would keep, with the reason.
    """
    from shctl.hosts.deletion import BulkDeletion

    # One object for all names, so that the disks of other hosts are read once.
    deletion = BulkDeletion(session.hypervisor)
    if dry_run:
        return for_each(names, lambda name: deletion.describe(name, if_exists=if_exists))
    return for_each(names, lambda name: deletion.delete(name, if_exists=if_exists))


@hosts.command(
    "adopt",
    examples=[
        "shctl hosts adopt old1",
        "shctl hosts adopt old1 --own-disk /var/lib/staging-hypervisor-agent/old1.img",
    ],
)
@click.argument("name", type=HOST)
@click.option(
    # None by default: shctl cannot know which disks nobody else needs.
    "--own-disk",
    "own_disks",
    multiple=True,
    metavar="PATH",
    help="Disk to delete with the host. Repeatable; all other disks are kept.",
)
@DRY_RUN
@click.pass_obj
def adopt_host(
    session: Session, name: str, own_disks: tuple[str, ...], dry_run: bool
) -> HostDetail | ChangePlan:
    """Adopt a host that another program created, so that shctl can delete it."""
    from shctl.hosts.adoption import adopt, plan

    return (plan if dry_run else adopt)(session.hypervisor, name, own_disks)
