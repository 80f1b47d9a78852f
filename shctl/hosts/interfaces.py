"""Add, change and remove the interfaces of hosts."""

from __future__ import annotations

from shctl.common.errors import Conflict, InvalidInput, NotFound
from shctl.common.model import AddedInterface, Changed, ChangePlan, Interface
from shctl.common.steps import Plan
from shctl.common.timeout import run_with_timeout
from shctl.hosts import change, details, interface_plan, interface_state, power
from shctl.hosts.change_state import HostState
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.interface_plan import Running, Target
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definitions
from shctl.xml import domain, network

_READ_TIMEOUT = 5.0  # seconds; libvirt answers within milliseconds


def show(hypervisor: Hypervisor, name: str, index: int) -> Interface:
    """Return an interface of a host; raise NotFound.

    That of its QEMU while it runs, or else the one that QEMU gets at its next start.
    """
    host = hypervisor.domain(name)
    found = (
        *details.show(hypervisor, name).interfaces,
        *details.stored_interfaces(hypervisor, host),
    )
    for row in found:
        if row.index == index:
            return row
    raise interface_state.not_found(name, index, {row.index for row in found})


def add(
    hypervisor: Hypervisor, name: str, network_name: str, link: str, *, dry_run: bool = False
) -> AddedInterface | ChangePlan:
    """Add an interface to a host, now if its QEMU has a free port, and return it.

    With `dry_run` return the steps, as the other functions do. Raises NotFound, Conflict,
    InvalidInput for a network that is missing or not on Open vSwitch, Unreachable without it.
    """
    _read(hypervisor, name)

    def plan(state: HostState) -> Plan[AddedInterface, ChangeSteps]:
        target = _target(hypervisor, network_name)
        running = _running(state)
        _check_free(hypervisor, state, interface_state.choose(state)[1])
        return interface_plan.plan_addition(state, running, target, link)

    if dry_run:
        return change.preview(hypervisor, name, plan)
    return change.apply(hypervisor, name, plan, networks={network_name})


def set_interface(
    hypervisor: Hypervisor,
    name: str,
    index: int,
    network_name: str | None,
    link: str | None,
    *,
    dry_run: bool = False,
) -> Changed | ChangePlan:
    """Connect an interface to another network or set its link, and return what changed.

    None keeps the network or the link. Raises as add() does, and InvalidInput for two Nones.
    """
    if network_name is None and link is None:
        raise InvalidInput("nothing to change: give --network or --link")
    # Also the old one, which is necessary to undo a change.
    networks = _networks(hypervisor, name) | ({network_name} if network_name else set())

    def plan(state: HostState) -> Plan[Changed, ChangeSteps]:
        target = _target(hypervisor, network_name) if network_name else None
        _check_locked(state, networks)
        return interface_plan.plan_setting(state, _running(state), index, target, link)

    if dry_run:
        return change.preview(hypervisor, name, plan)
    return change.apply(hypervisor, name, plan, networks=networks)


def remove(
    hypervisor: Hypervisor, name: str, index: int, *, dry_run: bool = False
) -> Changed | ChangePlan:
    """Remove an interface, from a running host too, whose guest has to release it.

    Raises NotFound, and Conflict if the guest does not.
    """
    _read(hypervisor, name)

    def plan(state: HostState) -> Plan[Changed, ChangeSteps]:
        return interface_plan.plan_removal(state, _running(state), index)

    if dry_run:
        return change.preview(hypervisor, name, plan)
    return change.apply(hypervisor, name, plan)


def _target(hypervisor: Hypervisor, name: str) -> Target:
    try:
        handle = hypervisor.network(name)
    except NotFound as error:
        # The host exists; a value of the request is wrong.
        raise InvalidInput(f"network: {error}", field="network") from None
    xml = handle.xml()
    if not network.read(xml).switched:
        raise InvalidInput(
            f"network: {name!r} is not on Open vSwitch; 'shctl networks create' makes one that is",
            field="network",
        )
    return Target(name, handle.active, network.read_tags(xml, None))


def _running(state: HostState) -> Running | None:
    """Return how a host runs, None if it is off; raise TimedOut if its QEMU hangs."""
    interface_state.check_answers(state)
    if not state.running:
        return None
    # Before anything is stored: with libvirt 11 it could not be restored while QEMU hangs.
    power.ask_qemu(state.host, state.host.disk_errors, _READ_TIMEOUT)
    return Running(state.host.xml(), state.host.state)


def _read(hypervisor: Hypervisor, name: str) -> tuple[str, ...]:
    """Return the definitions of a host, stored and running; raise TimedOut if QEMU hangs."""
    host = hypervisor.domain(name)

    def read() -> tuple[str, ...]:
        return host.xml(), host.xml(stored=True)

    # libvirt 11 asks QEMU for them.
    return run_with_timeout(_READ_TIMEOUT, read, interface_state.hung(name))


def _networks(hypervisor: Hypervisor, name: str) -> set[str]:
    """Return the networks of a host's interfaces, stored and running."""
    texts = _read(hypervisor, name)
    rows = [row for text in texts for row in domain.read(text).interfaces]
    return {row.network for row in rows if row.network}


def _check_locked(state: HostState, networks: set[str]) -> None:
    """Raise Conflict if the host got another network before it was locked."""
    infos = [info for info in (state.stored, state.running) if info]
    if {row.network for info in infos for row in info.interfaces if row.network} - networks:
        raise Conflict(f"another program changed host {state.name!r} meanwhile; try again")


def _check_free(hypervisor: Hypervisor, state: HostState, mac: str) -> None:
    """Raise Conflict if another host has a MAC address, as a renamed host or a copy may."""
    for definition in Definitions(hypervisor).all():
        host = definition.host
        if host.uuid != state.host.uuid and any(mac in text for text in definition.texts):
            raise Conflict(
                f"host {host.name!r} has the MAC address {mac}, which the next interface of host"
                f" {state.name!r} would have; change it with 'virsh edit {host.name}'"
            )
