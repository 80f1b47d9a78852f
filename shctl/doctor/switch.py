"""Check the ports of hosts in Open vSwitch, and networks."""

from contextlib import suppress
from functools import partial

from shctl.common.errors import NotFound
from shctl.common.model import Finding
from shctl.common.states import NetworkState
from shctl.doctor.snapshot import Found, recheck_locked, take_snapshot
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.networks import ports
from shctl.networks.choice import switch_of
from shctl.networks.switch import PortRow
from shctl.xml import network


def stale_ports(hypervisor: Hypervisor) -> Found:
    """Find stale ports, whose host does not run."""
    for row in ports.stale(hypervisor):
        if _is_stale(hypervisor, row):
            problem = f"its row in Open vSwitch ({_place(row)}) is stale: its host is not running"
            yield (
                Finding("port", row.name, problem, "--fix removes the row"),
                partial(switch_of(hypervisor).remove_stale_ports, [row]),
            )


def possibly_stale_ports(hypervisor: Hypervisor) -> Found:
    """Find rows that may be stale, and that libvirt may reuse for a new port."""
    for row in ports.possibly_stale(hypervisor):
        # Checked again: a host that stops between the two reads takes its rows with it.
        if row in ports.possibly_stale(hypervisor):
            problem = f"its row in Open vSwitch ({_place(row)}) may be stale"
            remedy = (
                "run 'shctl doctor --fix' as root; if the row remains and nothing uses it, run"
                f" 'ovs-vsctl del-port {row.name}'"
            )
            yield Finding("port", row.name, problem, remedy), None


def _place(row: PortRow) -> str:
    return f"bridge {row.bridge}, {'no tag' if row.tag is None else f'tag {row.tag}'}"


def _is_stale(hypervisor: Hypervisor, row: PortRow) -> bool:
    """Check a row again: a host that stopped between the two reads took its rows with it."""

    # With the host's lock, so that no other shctl starts or stops it meanwhile.
    def still() -> bool:
        return row in ports.stale(hypervisor)

    host = next((host for host in hypervisor.domains() if host.uuid == row.domain), None)
    return recheck_locked(host.name, still) if host else still()


def wrong_ports(hypervisor: Hypervisor) -> Found:
    """Find running hosts with a port that does not match their network."""
    for host, _ in take_snapshot(hypervisor).hosts:
        with suppress(NotFound):  # deleted meanwhile
            wrong = _wrong_port(hypervisor, host)
            if wrong and recheck_locked(host.name, partial(_has_wrong_port, hypervisor, host)):
                yield Finding("host", host.name, wrong, "stop it and start it again"), None


def _wrong_port(hypervisor: Hypervisor, host: Domain) -> str | None:
    return ports.find_wrong(hypervisor, host) if host.active else None


def _has_wrong_port(hypervisor: Hypervisor, host: Domain) -> bool:
    return _wrong_port(hypervisor, host) is not None


def networks(hypervisor: Hypervisor) -> Found:
    """Find networks without their bridge, and inactive ones."""
    switch = switch_of(hypervisor)
    known = switch.bridges()  # once: each ovs-vsctl takes 4 ms
    for row in hypervisor.networks():
        with suppress(NotFound):  # deleted meanwhile
            info = network.read(hypervisor.network(row.name).xml())
            if not switch.carries(info):
                continue
            removal = f"or 'shctl networks delete {row.name}'"
            if info.bridge not in known:
                problem = f"its bridge {info.bridge} does not exist in Open vSwitch"
                remedy = f"'ovs-vsctl add-br {info.bridge}', {removal}"
                yield Finding("network", row.name, problem, remedy), None
            if row.state == NetworkState.INACTIVE:
                problem = "it is inactive, so hosts on it do not start"
                remedy = f"'virsh net-start {row.name}', {removal}"
                yield Finding("network", row.name, problem, remedy), None
