"""`shctl hosts`: commands about hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shctl.commands.base import (
    DRY_RUN,
    Group,
    LazyGroup,
    LocalCommand,
    LocalOption,
)
from shctl.commands.batch import check_each, for_each
from shctl.commands.confirmation import confirmed, count
from shctl.commands.host_creation import MAX_CPUS, MAX_MEMORY, create_host
from shctl.commands.host_list import list_hosts
from shctl.commands.session import Session
from shctl.commands.types import HOST, Duration, Number
from shctl.common import defaults
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shctl.common.model import Changed, ChangePlan, DeletionPlan, HostDetail, Outcome
    from shctl.hosts.vnc import VncAddress

HOSTS = click.argument("names", type=HOST, nargs=-1, required=True, metavar="NAME...")


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


@hosts.command("start", examples=["shctl hosts start web1 web2"])
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


@hosts.command(
    "stop", examples=["shctl hosts stop web1 --timeout 120", "shctl hosts stop web1 web2 --force"]
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


@hosts.command("reboot", examples=["shctl hosts reboot web1"])
@HOSTS
@click.option("--force", is_flag=True, help="Reset at once instead of asking the guest.")
@click.pass_obj
def reboot_hosts(session: Session, names: tuple[str, ...], force: bool) -> list[Outcome]:
    """Reboot running hosts."""
    from shctl.hosts.stopping import reboot

    return for_each(names, lambda name: reboot(session.hypervisor, name, force=force))


@hosts.command(
    "wait",
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


@hosts.command(
    "log",
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
    cls=LocalOption,  # a response without an end would occupy a thread of the server
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
    follow: bool = False,
) -> Iterator[str | bytes]:
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
    return (follow_log if follow else read_log)(session.hypervisor, name, view)


@hosts.command("console", cls=LocalCommand, examples=["shctl hosts console web1"])
@click.argument("name", type=HOST)
@click.pass_obj
def open_console(session: Session, name: str) -> None:
    """Open a host's serial console in this terminal; Ctrl-] closes it.

    The terminal interprets control characters of the guest; 'hosts log -f' replaces them.
    """
    from shctl.hosts.terminal import attach

    attach(session.hypervisor.domain(name).console)


@hosts.command("screenshot", cls=LocalCommand, examples=["shctl hosts screenshot web1 -w web1.png"])
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


@hosts.command(
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
@click.pass_obj
def adopt_host(session: Session, name: str, own_disks: tuple[str, ...]) -> HostDetail:
    """Adopt a host that another program created, so that shctl can delete it."""
    from shctl.hosts.adoption import adopt

    return adopt(session.hypervisor, name, own_disks)
