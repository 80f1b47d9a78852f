"""`shctl networks`: tagged networks on Open vSwitch bridges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import DRY_RUN, Group, LocalCommand
from shctl.commands.batch import check_each, for_each
from shctl.commands.confirmation import confirmed, count
from shctl.commands.list_types import ColumnList
from shctl.commands.session import Session
from shctl.commands.types import BRIDGE, NETWORK, NEW_NETWORK
from shctl.commands.vlan_types import AUTO, TAG, TagOrAuto, TagRange
from shctl.common.errors import InvalidInput
from shctl.common.rows import NETWORK_COLUMNS

if TYPE_CHECKING:
    from shctl.common.model import NetworkDetail, NetworkPlan, Outcome
    from shctl.common.rows import NetworkRow
    from shctl.networks.mapping import BridgeMap


@click.group(cls=Group)
def networks() -> None:
    """Create, show and remove VLAN networks."""


@networks.command(
    "list",
    examples=["shctl networks list", "shctl -o json networks list --columns all"],
)
@click.option(
    "--columns",
    type=ColumnList(NETWORK_COLUMNS),
    metavar="LIST",
    help="Columns to show, joined by commas, or all.",
)
@click.pass_obj
def list_networks(session: Session, columns: tuple[str, ...] | None) -> list[NetworkRow]:
    """List all networks on the hypervisor.

    Columns are name, state, autostart, persistent, bridge, vlan, trunk and hosts: those with an
    interface on the network. JSON has the first four unless columns are given.
    """
    from shctl.networks import listing

    shown = columns or (listing.TABLE if session.shows_table else listing.SHORT)
    found = listing.list_networks(session.hypervisor, shown)
    if not found:
        session.note("no networks; 'shctl networks create' makes one")
    return found


@networks.command(
    "map", cls=LocalCommand, examples=["shctl networks map", "shctl -o json networks map"]
)
@click.pass_obj
def map_networks(session: Session) -> list[BridgeMap]:
    """Draw bridges, the networks on them with their VLANs, and the hosts on these."""
    from shctl.networks.mapping import draw

    found = draw(session.hypervisor)
    if not found:
        session.note("no bridges and no networks")
    return found


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
        "shctl networks create staging --vlan auto --vlan-range 100-199",
    ],
)
@click.argument("name", type=NEW_NETWORK)
@click.option(
    "--bridge",
    type=BRIDGE,
    metavar="BR",
    help="Open vSwitch bridge to attach to. Without it, the only bridge that there is.",
)
# Required: in Open vSwitch a port without a tag is a trunk of all VLANs.
@click.option(
    "--vlan",
    required=True,
    type=TagOrAuto(1, 4094),
    metavar="TAG|auto",
    help="VLAN tag of the ports; auto takes the lowest free tag of --vlan-range.",
)
@click.option(
    "--vlan-range",
    type=TagRange(),
    metavar="LOW-HIGH",
    help="Tags that --vlan auto may take, such as 100-199.",
)
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
@DRY_RUN
@click.pass_obj
def create_network(
    session: Session,
    name: str,
    bridge: str | None,
    vlan: int | str,
    vlan_range: range | None,
    trunk: tuple[int, ...],
    if_not_exists: bool,
    dry_run: bool,
) -> NetworkDetail | NetworkPlan:
    """Create a network of tagged ports, active now and after each boot.

    A tag is free if no network and no port has it, alone or in a trunk, on the same bridge.
    """
    from shctl.networks import manage

    if vlan == AUTO and vlan_range is None:
        raise InvalidInput("vlan: auto requires a vlan_range", field="vlan")
    tags = vlan_range if isinstance(vlan, str) else range(vlan, vlan + 1)
    wanted = manage.Wanted(name, bridge, tags or range(0), trunk, is_auto=vlan == AUTO)
    if dry_run:
        return manage.plan_creation(session.hypervisor, wanted, if_not_exists=if_not_exists)
    # REST returns 200 instead of 201 for a network that was kept.
    return manage.create(
        session.hypervisor, wanted, if_not_exists=if_not_exists, keep=session.note_kept
    )


def _ask_networks(session: Session, names: tuple[str, ...], if_exists: bool, **_: bool) -> str:
    from shctl.networks.manage import plan_deletion

    plans = check_each(
        names, lambda name: plan_deletion(session.hypervisor, name, if_exists=if_exists)
    )
    found = [f"{plan.name}: VLAN {plan.vlan} on {plan.bridge}" for plan in plans if plan.steps]
    return f"Delete {count(len(found), 'network')} ({', '.join(found)}) for good?" if found else ""


@networks.command(
    "delete",
    examples=[
        "shctl networks delete vlan10 vlan20 --yes",
        "shctl networks delete vlan10 --dry-run",
    ],
)
@click.argument("names", type=NETWORK, nargs=-1, required=True, metavar="NAME...")
@click.option("--if-exists", is_flag=True, help="Succeed if a network does not exist.")
@DRY_RUN
@click.pass_obj
@confirmed(_ask_networks)
def delete_networks(
    session: Session, names: tuple[str, ...], if_exists: bool, dry_run: bool
) -> list[Outcome] | list[NetworkPlan]:
    """Delete networks that no host uses."""
    from shctl.networks.manage import delete, plan_deletion

    if dry_run:
        return for_each(
            names, lambda name: plan_deletion(session.hypervisor, name, if_exists=if_exists)
        )
    return for_each(names, lambda name: delete(session.hypervisor, name, if_exists=if_exists))
