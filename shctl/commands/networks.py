"""`shctl networks`: tagged networks on Open vSwitch bridges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Group
from shctl.commands.batch import check_each, for_each
from shctl.commands.confirmation import confirmed, count
from shctl.commands.session import Session
from shctl.commands.types import BRIDGE, NETWORK, NEW_NETWORK, Number

if TYPE_CHECKING:
    from shctl.common.model import NetworkDetail, Outcome
    from shctl.common.rows import Network

TAG = Number(1, 4094)  # IEEE 802.1Q reserves 0 and 4095


@click.group(cls=Group)
def networks() -> None:
    """Create, show and remove VLAN networks."""


@networks.command("list", examples=["shctl networks list", "shctl -o name networks list"])
@click.pass_obj
def list_networks(session: Session) -> list[Network]:
    """List all networks on the hypervisor."""
    return session.hypervisor.networks()


@networks.command("show", examples=["shctl networks show vlan10"])
@click.argument("name", type=NETWORK)
@click.pass_obj
def show_network(session: Session, name: str) -> NetworkDetail:
    """Show a network, the hosts that use it and the ports on it."""
    from shctl.networks.manage import show

    return show(session.hypervisor, name)


@networks.command(
    "create",
    examples=[
        "shctl networks create vlan10 --bridge br0 --vlan 10",
        "shctl networks create uplink --bridge br0 --vlan 1 --trunk 10 --trunk 20",
    ],
)
@click.argument("name", type=NEW_NETWORK)
@click.option(
    "--bridge", required=True, type=BRIDGE, metavar="BR", help="Open vSwitch bridge to attach to."
)
# Required: in Open vSwitch a port without a tag is a trunk of all VLANs.
@click.option("--vlan", required=True, type=TAG, metavar="TAG", help="VLAN tag of the ports.")
@click.option(
    "--trunk",
    multiple=True,
    type=TAG,
    metavar="TAG",
    help="Make the ports trunks that carry this tag too; --vlan is then untagged. Repeatable.",
)
@click.option(
    "--if-not-exists", is_flag=True, help="Keep an existing network of this name if it is the same."
)
@click.pass_obj
def create_network(
    session: Session,
    name: str,
    bridge: str,
    vlan: int,
    trunk: tuple[int, ...],
    if_not_exists: bool,
) -> NetworkDetail:
    """Create a network of tagged ports, active now and after each boot."""
    from shctl.networks.manage import create
    from shctl.xml.network import Spec

    spec = Spec(name, bridge, vlan, trunk)
    # REST returns 200 instead of 201 for a network that was kept.
    return create(session.hypervisor, spec, if_not_exists=if_not_exists, keep=session.note_kept)


def _ask_networks(session: Session, names: tuple[str, ...], if_exists: bool) -> str:
    from shctl.networks.manage import preview

    found = check_each(names, lambda name: preview(session.hypervisor, name, if_exists=if_exists))
    return f"Delete {count(len(found), 'network')} ({', '.join(found)}) for good?" if found else ""


@networks.command("delete", examples=["shctl networks delete vlan10 vlan20 --yes"])
@click.argument("names", type=NETWORK, nargs=-1, required=True, metavar="NAME...")
@click.option("--if-exists", is_flag=True, help="Succeed if a network does not exist.")
@click.pass_obj
@confirmed(_ask_networks)
def delete_networks(session: Session, names: tuple[str, ...], if_exists: bool) -> list[Outcome]:
    """Delete networks that no host uses."""
    from shctl.networks.manage import delete

    return for_each(names, lambda name: delete(session.hypervisor, name, if_exists=if_exists))
