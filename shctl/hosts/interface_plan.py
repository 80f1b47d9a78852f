"""Plan changes of a host's interfaces: from what is wanted and its state to steps; no I/O.

The stored definition is changed first. If the command is killed after that, the next start is as
wanted, and the same command completes the running host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from shctl.common.errors import Conflict
from shctl.common.model import AddedInterface, Change, Changed
from shctl.common.states import DomainState
from shctl.common.steps import Plan, Step
from shctl.hosts import interface_state, interface_steps
from shctl.hosts.change_state import HostState
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.interface_state import Found
from shctl.hosts.pending import NEXT_START, NOW
from shctl.xml import edits, interface_edits
from shctl.xml.interfaces import LINK_DOWN, LINK_UP, InterfaceRow
from shctl.xml.network import Tags

InterfaceStep = Step[ChangeSteps]


@dataclass(frozen=True)
class Running:
    """The XML of a running host, and the state of its guest."""

    xml: str
    state: DomainState


@dataclass(frozen=True)
class Target:
    """A network of Open vSwitch to connect an interface to."""

    name: str
    active: bool
    tags: Tags


def plan_addition(
    state: HostState, running: Running | None, target: Target, link: str
) -> Plan[AddedInterface, ChangeSteps]:
    """Return the interface that a host would get, and the steps; raise Conflict."""
    index, mac = interface_state.choose(state)
    interface = Found(state.name, index, mac, None, None)
    address = interface_edits.free_address(state.definition, running.xml) if running else None
    plugs = address is not None
    edit = partial(
        interface_edits.add, network=target.name, mac=mac, link=link, address=address or {}
    )
    text = f"Store {interface} with network {target.name!r}, link {link} and MAC address {mac}"
    text += "." if plugs else ", for the next start."
    steps = [_store(interface, edit, text), *(_plug(interface, target, link) if plugs else ())]
    applied = NOW if plugs else NEXT_START
    added = AddedInterface(index, target.name, mac, *target.tags, link, applied)
    return Plan(added, tuple(steps))


def plan_setting(
    state: HostState, running: Running | None, index: int, target: Target | None, link: str | None
) -> Plan[Changed, ChangeSteps]:
    """Return the changes of an interface and the steps to them; None keeps what it has.

    Raises NotFound, Conflict.
    """
    interface = interface_state.find(state, index)
    stored = _check_stored(interface, changes_network=target is not None)
    edit = partial(
        interface_edits.update, mac=interface.mac,
        network=target.name if target and target.name != stored.network else None,
        link=link if link != stored.link else None,
    )  # fmt: skip
    live = list(_set_running(state, running, interface, target, link or stored.link, edit))
    wanted = {"network": target.name if target else None, "link": link}
    given = {key: value for key, value in wanted.items() if value}
    steps = []
    if any(getattr(stored, key) != value for key, value in given.items()):
        values = " and ".join(f"{key} {value!r}" for key, value in given.items())
        text = f"Store {interface} with {values}{'' if live else ', for the next start'}."
        steps.append(_store(interface, edit, text))
    rows = [stored, interface.running] if live else [stored]
    changes = [
        Change(key, value, NOW if live else NEXT_START)
        for key, value in given.items()
        if any(getattr(row, key, None) != value for row in rows)
    ]
    return Plan(Changed(state.name, tuple(changes)), (*steps, *live))


def _check_stored(interface: Found, *, changes_network: bool) -> InterfaceRow:
    """Return the stored interface; raise Conflict if there is none, or one of another kind."""
    if (stored := interface.stored) is None:
        raise Conflict(
            f"{interface} is not in its definition, so it is gone when the host stops; remove it,"
            " then add one"
        )
    if changes_network and stored.kind not in ("network", "bridge"):
        raise Conflict(
            f"{interface} is of type {stored.kind}, which shctl does not change; use"
            f" 'virsh edit {interface.host}'"
        )
    return stored


def plan_removal(
    state: HostState, running: Running | None, index: int
) -> Plan[Changed, ChangeSteps]:
    """Return what removing an interface changes, and the steps; raise NotFound, Conflict."""
    interface = interface_state.find(state, index)
    steps = []
    if interface.stored:
        edit = partial(interface_edits.remove, mac=interface.mac)
        steps.append(_store(interface, edit, f"Remove {interface} from its definition."))
    if running and interface.running:
        steps.append(_unplug(running, interface, interface.running))
    removed = Change(f"interfaces.{index}", None, NOW if running else NEXT_START)
    return Plan(Changed(state.name, (removed,)), tuple(steps))


def _set_running(
    state: HostState,
    running: Running | None,
    interface: Found,
    target: Target | None,
    link: str,
    edit: edits.Edit,
) -> Iterator[InterfaceStep]:
    """Yield the steps that change the running host, none if only its next start can change."""
    current = interface.running
    if running is None:
        return
    if target and (current is None or current.network != target.name):
        definition = edits.edited(state.definition, [edit])
        if current:
            yield _unplug(running, interface, current)
        elif not interface_edits.can_plug(definition, running.xml, interface.mac):
            return
        yield from _plug(interface, target, link)
    elif current and current.link != link:
        yield from _link(interface, current.link, link)


def _store(interface: Found, edit: edits.Edit, text: str) -> InterfaceStep:
    return Step(
        "define", f"definition of host {interface.host}", text,
        partial(ChangeSteps.store, edit=partial(edits.edited, changes=[edit])),
        ChangeSteps.restore,
    )  # fmt: skip


def _plug(interface: Found, target: Target, link: str) -> Iterator[InterfaceStep]:
    if not target.active:
        raise Conflict(
            f"network {target.name!r} is inactive; start it with 'virsh net-start {target.name}'"
        )
    yield Step(
        "plug", f"{interface}, without a link",
        f"Plug {interface} in on network {target.name!r}, without a link.",
        partial(interface_steps.plug_stored, interface=interface),
        partial(interface_steps.unplug, interface=interface),
    )  # fmt: skip
    yield Step(
        "check", f"port of {interface}",
        f"Compare its port in Open vSwitch with network {target.name!r}.",
        partial(interface_steps.check, interface=interface),
    )  # fmt: skip
    if link == LINK_UP:
        yield from _link(interface, LINK_DOWN, link)


def _link(interface: Found, before: str, link: str) -> Iterator[InterfaceStep]:
    checked = " if its port in Open vSwitch is right" if link == LINK_UP else ""
    yield Step(
        "link", f"link of {interface}", f"Set the link of {interface} {link}{checked}.",
        partial(interface_steps.set_link, interface=interface, link=link),
        partial(interface_steps.restore_link, interface=interface, link=before),
    )  # fmt: skip


def _unplug(running: Running, interface: Found, current: InterfaceRow) -> InterfaceStep:
    if running.state != DomainState.RUNNING:
        raise Conflict(
            f"host {interface.host!r} is {running.state}, so its guest cannot release the"
            " interface; start it or shut it down, then repeat the command"
        )
    again = interface_edits.copy_of_running(running.xml, interface.mac, LINK_DOWN)
    was = interface_steps.Plugged(again, current.link)
    return Step(
        "unplug", str(interface), f"Unplug {interface}: its guest has to release it.",
        partial(interface_steps.unplug_or_restore, interface=interface, was=was),
        partial(interface_steps.replug, interface=interface, was=was),
    )  # fmt: skip
