"""Create, show and delete tagged networks on Open vSwitch bridges."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from shctl.common import locks, names
from shctl.common.errors import Conflict, InvalidInput, NotFound
from shctl.common.model import NetworkDetail, NetworkPlan, Outcome, PlannedStep, Port
from shctl.common.rollback import Rollback
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.network import Network
from shctl.networks import vlans
from shctl.networks.choice import switch_of
from shctl.networks.switch import Switch
from shctl.xml import domain, network
from shctl.xml.interfaces import InterfaceRow


@dataclass(frozen=True)
class Wanted:
    """A network to create: without a bridge on the only one.

    With `is_auto`, it takes the lowest of `tags` that is free; otherwise it takes the only one.
    """

    name: str
    bridge: str | None
    tags: Sequence[int]
    trunk: tuple[int, ...] = ()
    is_auto: bool = False


def create(
    hypervisor: Hypervisor,
    wanted: Wanted,
    *,
    if_not_exists: bool = False,
    keep: Callable[[], object] = lambda: None,
) -> NetworkDetail:
    """Create a network, persistent, autostarted and active, and return it.

    With `if_not_exists`, `keep` is called if the same network exists; it is returned unchanged.
    Raises Conflict if the name is taken or no tag is free, InvalidInput for an unknown bridge or
    an invalid trunk.
    """
    with _resolved(hypervisor, wanted, if_not_exists=if_not_exists) as spec:
        if isinstance(spec, NetworkDetail):
            keep()
            return spec
        xml = network.build(spec, switch_of(hypervisor).VIRTUALPORT)
        return detail(hypervisor, _define(hypervisor, spec.name, xml))


def plan_creation(
    hypervisor: Hypervisor, wanted: Wanted, *, if_not_exists: bool = False
) -> NetworkPlan:
    """Return what create() would do, and raise what it would raise."""
    with _resolved(hypervisor, wanted, if_not_exists=if_not_exists) as spec:
        name, target = wanted.name, f"network {wanted.name}"
        steps = (
            PlannedStep("define", target, f"Define network {name!r}, started at each boot."),
            PlannedStep("start", target, f"Start network {name!r}."),
        )
        found = () if isinstance(spec, NetworkDetail) else steps
        return NetworkPlan(name, spec.bridge, spec.vlan, spec.trunk, found)


@contextmanager
def _resolved(
    hypervisor: Hypervisor, wanted: Wanted, *, if_not_exists: bool
) -> Iterator[network.Spec | NetworkDetail]:
    """Yield the network to create, checked, or the same one that exists; others must wait."""
    names.check_network(wanted.name)
    hypervisor.check_writable()
    switch = switch_of(hypervisor)
    bridge = wanted.bridge or vlans.only_bridge(switch)
    # The second lock: no other creation chooses a tag meanwhile.
    with locks.hold("network", wanted.name), locks.hold("vlans", bridge):
        if existing := _find_existing(hypervisor, wanted, bridge, if_not_exists=if_not_exists):
            yield existing
            return
        tag = wanted.tags[0]
        if wanted.is_auto:
            tag = vlans.choose_tag(hypervisor, switch, bridge, wanted.tags, wanted.trunk)
        spec = network.Spec(wanted.name, bridge, tag, wanted.trunk)
        _check_trunk(spec)
        _check_bridge(switch, network.read(network.build(spec, switch.VIRTUALPORT)))
        yield spec


def _find_existing(
    hypervisor: Hypervisor, wanted: Wanted, bridge: str, *, if_not_exists: bool
) -> NetworkDetail | None:
    try:
        existing = detail(hypervisor, hypervisor.network(wanted.name))
    except NotFound:
        return None
    if not if_not_exists:
        raise Conflict(f"network {wanted.name!r} already exists; --if-not-exists keeps it")
    _check_same(existing, wanted, bridge)
    return existing


def _check_same(existing: NetworkDetail, wanted: Wanted, bridge: str) -> None:
    """Raise Conflict unless the networks are the same: hosts would start on a wrong VLAN."""
    # Sets: the order of the tags in a trunk has no effect.
    is_same = existing.bridge == bridge and set(existing.trunk) == set(wanted.trunk)
    if not is_same or existing.vlan not in wanted.tags:
        trunk = f", trunk {','.join(map(str, existing.trunk))}" if existing.trunk else ""
        raise Conflict(
            f"network {wanted.name!r} already exists and differs: bridge {existing.bridge},"
            f" vlan {existing.vlan}{trunk}"
        )


def _check_trunk(spec: network.Spec) -> None:
    if spec.vlan in spec.trunk or len(set(spec.trunk)) != len(spec.trunk):
        raise InvalidInput(
            "trunk: give each tag once, and leave out that of vlan, which is always included",
            field="trunk",
        )


def _check_bridge(switch: Switch, info: network.NetworkInfo) -> None:
    if not switch.carries(info):
        return
    known = switch.bridges()
    if info.bridge not in known:
        raise InvalidInput(
            f"bridge: {info.bridge!r} does not exist in Open vSwitch;"
            f" existing bridges: {', '.join(known) or 'none'}",
            field="bridge",
        )


def _define(hypervisor: Hypervisor, name: str, xml: str) -> Network:
    """Define a network, set autostart and start it; roll back if a step fails."""
    with Rollback() as undo:
        handle = undo.make(
            f"network {name}", lambda: hypervisor.define_network(xml), Network.undefine
        )
        handle.set_autostart()
        # Pushed before the start: stop() accepts an inactive network.
        undo.push(f"running network {name}", handle.stop)
        handle.start()
    return handle


def show(hypervisor: Hypervisor, name: str) -> NetworkDetail:
    """Return a network with the hosts that use it and the ports on it; raise NotFound."""
    return detail(hypervisor, hypervisor.network(name))


def detail(hypervisor: Hypervisor, handle: Network) -> NetworkDetail:
    """Return a network with its hosts and ports."""
    row, info = handle.row(), network.read(handle.xml())
    users = _users(hypervisor, handle.name)
    return NetworkDetail(
        name=row.name,
        state=row.state,
        autostart=row.autostart,
        persistent=row.persistent,
        bridge=info.bridge,
        vlan=info.vlan,
        trunk=info.trunk,
        hosts=tuple(sorted(host.name for host in users)),
        ports=_ports(switch_of(hypervisor), users, handle.name),
    )


def _users(hypervisor: Hypervisor, name: str) -> list[Domain]:
    """Return the hosts with an interface on the network, in their running or stored XML."""
    return [host for host in hypervisor.domains() if _uses(host, name)]


def _uses(host: Domain, name: str) -> bool:
    with suppress(NotFound):  # deleted meanwhile
        return any(
            row.network == name
            for xml in {host.xml(), host.xml(stored=True)}  # a set: equal if the host is off
            if domain.mentions(xml, name)  # parsing takes longest
            for row in domain.read(xml).interfaces
        )
    return False


def _ports(switch: Switch, users: list[Domain], name: str) -> tuple[Port, ...]:
    """Return the network's ports with their tags in Open vSwitch, which may differ from its XML."""
    found = [
        (host.name, row) for host in users for row in _live_interfaces(host) if row.network == name
    ]
    if not found:
        return ()
    rows = {row.name: row for row in switch.ports()}
    return tuple(
        Port(host, row.port or "", row.mac, rows[row.port].tag, rows[row.port].trunk)
        for host, row in found
        if row.port in rows
    )


def _live_interfaces(host: Domain) -> tuple[InterfaceRow, ...]:
    """Return the interfaces that have a port now."""
    with suppress(NotFound):  # deleted meanwhile
        return tuple(row for row in domain.read(host.xml()).interfaces if row.port)
    return ()


def delete(hypervisor: Hypervisor, name: str, *, if_exists: bool = False) -> Outcome:
    """Delete a network that no host uses.

    Raises NotFound, and Conflict if a host uses it or it is not on Open vSwitch.
    """
    hypervisor.check_writable()
    # Exclusive: a creation of a host holds the locks of its networks shared.
    with locks.hold("network", name):
        handle = _find_deletable(hypervisor, name, if_exists=if_exists)
        if handle is None:
            return Outcome(name, "does not exist")
        handle.stop()
        handle.undefine()
    return Outcome(name, "deleted")


def plan_deletion(hypervisor: Hypervisor, name: str, *, if_exists: bool = False) -> NetworkPlan:
    """Return what delete() would do, and raise what it would raise."""
    hypervisor.check_writable()
    handle = _find_deletable(hypervisor, name, if_exists=if_exists)
    if handle is None:
        return NetworkPlan(name, None, None, (), ())
    info, target = network.read(handle.xml()), f"network {name}"
    steps = (
        PlannedStep("stop", target, f"Stop network {name!r}, if it is active."),
        PlannedStep("undefine", target, f"Undefine network {name!r}."),
    )
    return NetworkPlan(name, info.bridge, info.vlan, info.trunk, steps)


def _find_deletable(hypervisor: Hypervisor, name: str, *, if_exists: bool) -> Network | None:
    try:
        handle = hypervisor.network(name)
    except NotFound:
        if if_exists:
            return None
        raise
    if not network.read(handle.xml()).switched:
        raise Conflict(
            f"network {name!r} is not on Open vSwitch, so shctl does not delete it;"
            f" use 'virsh net-undefine {name}'"
        )
    # libvirt would delete it while hosts use it, and they would not start again.
    _check_unused(hypervisor, name)
    return handle


def _check_unused(hypervisor: Hypervisor, name: str) -> None:
    users = sorted(host.name for host in _users(hypervisor, name))
    if users:
        raise Conflict(
            f"network {name!r} is in use by {', '.join(users)};"
            " delete these hosts or move them first"
        )
