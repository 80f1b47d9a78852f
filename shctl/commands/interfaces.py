"""`shctl hosts interfaces`: commands about the network interfaces of a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import DRY_RUN, Command
from shctl.commands.session import Session
from shctl.commands.types import HOST, INDEX, NETWORK

if TYPE_CHECKING:
    from shctl.common.model import AddedInterface, Changed, ChangePlan, Interface

LINKS = click.Choice(["up", "down"])


NAME = click.argument("name", type=HOST)
INDEX_OF = click.argument("index", type=INDEX)


@click.command("list", cls=Command, examples=["shctl hosts interfaces list web1"])
@NAME
@click.pass_obj
def list_interfaces(session: Session, name: str) -> list[Interface]:
    """List the network interfaces of a host: of its QEMU while it runs."""
    from shctl.hosts.details import show

    return list(show(session.hypervisor, name).interfaces)


@click.command("show", cls=Command, examples=["shctl hosts interfaces show web1 0"])
@NAME
@INDEX_OF
@click.pass_obj
def show_interface(session: Session, name: str, index: int) -> Interface:
    """Show a network interface of a host."""
    from shctl.hosts.interfaces import show

    return show(session.hypervisor, name, index)


@click.command(
    "add",
    cls=Command,
    examples=[
        "shctl hosts interfaces add web1 --network vlan20",
        "shctl hosts interfaces add web1 --network vlan20 --link down",
    ],
)
@NAME
@click.option("--network", required=True, type=NETWORK, help="Network to connect it to.")
@click.option("--link", default="up", show_default=True, type=LINKS, help="State of its link.")
@DRY_RUN
@click.pass_obj
def add_interface(
    session: Session, name: str, network: str, link: str, dry_run: bool
) -> AddedInterface | ChangePlan:
    """Add a network interface to a host, also while it runs.

    The interface gets the lowest index that is free, and the MAC address that follows from the
    host's name and the index. "applied" in the answer is "now" if the interface was plugged into
    the running host, and "next start" if the host is off or has no free PCI port.

    In a running host it has no link until its port in Open vSwitch has been checked.
    """
    from shctl.hosts.interfaces import add

    return add(session.hypervisor, name, network, link, dry_run=dry_run)


@click.command(
    "set",
    cls=Command,
    examples=[
        "shctl hosts interfaces set web1 0 --network vlan20",
        "shctl hosts interfaces set web1 1 --link down",
    ],
)
@NAME
@INDEX_OF
@click.option("--network", type=NETWORK, help="Network to move it to.")
@click.option("--link", type=LINKS, help="State of its link; down: the guest sees no carrier.")
@DRY_RUN
@click.pass_obj
def set_interface(
    session: Session, name: str, index: int, network: str | None, link: str | None, dry_run: bool
) -> Changed | ChangePlan:
    """Move an interface of a host to another network, or set its link.

    Both the stored definition and the running host change, or neither. In a running host the
    interface is unplugged from the old network and plugged in on the new one, at the same PCI
    address and with the same MAC address; it has no link until its port in Open vSwitch has been
    checked. The guest has to release the interface: if it does not, nothing changes (409). What the
    running host cannot change has "applied": "next start" in the answer.

    INDEX is the one that 'hosts show' prints.
    """
    from shctl.hosts import interfaces

    return interfaces.set_interface(session.hypervisor, name, index, network, link, dry_run=dry_run)


@click.command("remove", cls=Command, examples=["shctl hosts interfaces remove web1 1"])
@NAME
@INDEX_OF
@DRY_RUN
@click.pass_obj
def remove_interface(
    session: Session, name: str, index: int, dry_run: bool
) -> Changed | ChangePlan:
    """Remove a network interface from a host, also while it runs.

    The guest of a running host has to release the interface: if it does not, nothing changes (409).
    The other interfaces keep their indexes and MAC addresses.

    INDEX is the one that 'hosts show' prints.
    """
    from shctl.hosts.interfaces import remove

    return remove(session.hypervisor, name, index, dry_run=dry_run)
