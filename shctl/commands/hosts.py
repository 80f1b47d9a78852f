"""`shctl hosts`: the machines in the rack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shctl.command import HOST, NETWORK, NEW_HOST, POOL, Group, confirmed, for_each
from shctl.session import Session

if TYPE_CHECKING:
    from shctl.model import Host, HostDetail, Outcome

MAX_MEMORY = 16 * 2**20  # MiB; no x86 server has more
MAX_DISK = 2**16  # GiB
HOSTS = click.argument("names", type=HOST, nargs=-1, required=True, metavar="NAME...")


@click.group(cls=Group)
def hosts() -> None:
    """Create, start, watch and remove hosts."""


@hosts.command("list", examples=["shctl hosts list", "shctl -o name hosts list"])
@click.pass_obj
def list_hosts(session: Session) -> list[Host]:
    """List all hosts on the hypervisor, whoever made them."""
    return session.hypervisor.hosts()


@hosts.command("show", examples=["shctl hosts show web1", "shctl -o json hosts show web1"])
@click.argument("name", type=HOST)
@click.pass_obj
def show_host(session: Session, name: str) -> HostDetail:
    """Show a host's hardware and state."""
    from shctl.details import show

    return show(session.hypervisor, name)


@hosts.command(
    "create",
    examples=[
        "shctl hosts create web1 --memory 512 --disk 8 --network vlan10 --start",
        "shctl hosts create db1.example.com --memory 4096 --cpus 4 --disk 8 --disk 100"
        " --network vlan10 --network vlan20 --firmware uefi",
    ],
)
@click.argument("name", type=NEW_HOST)
@click.option(
    "--memory", required=True, type=click.IntRange(16, MAX_MEMORY), metavar="MIB", help="In MiB."
)
@click.option(
    "--disk",
    "disks",
    required=True,
    multiple=True,
    type=click.IntRange(1, MAX_DISK),
    metavar="GIB",
    help="Size in GiB; repeat it for sdb, sdc, ...",
)
@click.option(
    "--network",
    "networks",
    required=True,
    multiple=True,
    type=NETWORK,
    metavar="NET",
    help="Network of an interface; repeat it for more interfaces.",
)
@click.option("--cpus", default=1, show_default=True, type=click.IntRange(1, 255), metavar="N")
@click.option("--firmware", default="bios", show_default=True, type=click.Choice(["bios", "uefi"]))
@click.option("--pool", default="shctl", show_default=True, type=POOL, help="For the disks.")
@click.option(
    "--virt-type",
    default="auto",
    show_default=True,
    envvar="SHCTL_VIRT_TYPE",
    type=click.Choice(["auto", "kvm", "qemu"]),
    help="KVM, or QEMU's own slow emulation; auto takes KVM when it works.",
)
@click.option("--autostart", is_flag=True, help="Start it whenever the hypervisor boots.")
@click.option("--start/--no-start", default=False, show_default=True, help="Start it at once.")
@click.option("--if-not-exists", is_flag=True, help="Keep a host of this name as it is.")
@click.pass_obj
def create_host(session: Session, **wanted: Any) -> HostDetail:
    """Create a host with blank disks.

    It boots from its first disk, then from the network.
    """
    from shctl.creation import Request, create

    return create(session.hypervisor, Request(**wanted))


@hosts.command("start", examples=["shctl hosts start web1 web2"])
@HOSTS
@click.pass_obj
def start_hosts(session: Session, names: tuple[str, ...]) -> list[Outcome]:
    """Start hosts, or resume paused ones."""
    from shctl.power import start

    return for_each(names, lambda name: start(session.hypervisor, name))


@hosts.command(
    "stop", examples=["shctl hosts stop web1 --timeout 120", "shctl hosts stop web1 web2 --force"]
)
@HOSTS
@click.option("--force", is_flag=True, help="Power off: at once, or when --timeout is over.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, 86400),
    metavar="S",
    help="How long a clean shutdown may take, in seconds.  [default: 60]",
)
@click.pass_obj
def stop_hosts(
    session: Session, names: tuple[str, ...], force: bool, timeout: float | None
) -> list[Outcome]:
    """Shut hosts down and wait until they are off."""
    from shctl.power import stop

    return for_each(
        names, lambda name: stop(session.hypervisor, name, force=force, timeout=timeout)
    )


@hosts.command("reboot", examples=["shctl hosts reboot web1"])
@HOSTS
@click.option("--force", is_flag=True, help="Reset at once instead of asking the guest.")
@click.pass_obj
def reboot_hosts(session: Session, names: tuple[str, ...], force: bool) -> list[Outcome]:
    """Reboot running hosts."""
    from shctl.power import reboot

    return for_each(names, lambda name: reboot(session.hypervisor, name, force=force))


@hosts.command("delete", examples=["shctl hosts delete web1 web2 --yes"])
@HOSTS
@click.option("--if-exists", is_flag=True, help="A host that does not exist is no error.")
@confirmed
@click.pass_obj
def delete_hosts(session: Session, names: tuple[str, ...], if_exists: bool) -> list[Outcome]:
    """Delete hosts in whatever state, with the disks that they own."""
    from shctl.deletion import delete

    return for_each(names, lambda name: delete(session.hypervisor, name, if_exists=if_exists))


@hosts.command(
    "adopt",
    examples=[
        "shctl hosts adopt old1",
        "shctl hosts adopt old1 --own-disk /var/lib/staging-hypervisor-agent/old1.img",
    ],
)
@click.argument("name", type=HOST)
@click.option(
    "--own-disk",
    "own_disks",
    multiple=True,
    metavar="PATH",
    help="A disk of it that is to go when the host is deleted. Repeatable; others are kept.",
)
@click.pass_obj
def adopt_host(session: Session, name: str, own_disks: tuple[str, ...]) -> HostDetail:
    """Take over a host that something else made, so that shctl can delete it."""
    from shctl.adoption import adopt

    return adopt(session.hypervisor, name, own_disks)
