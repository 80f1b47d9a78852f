"""Check what hosts are plugged into: ports in Open vSwitch, and networks."""

from contextlib import suppress
from functools import partial

from shctl.common.errors import NotFound
from shctl.common.model import Finding
from shctl.doctor.snapshot import Found, is_so, look
from shctl.hosts import power
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.networks import openvswitch, ports
from shctl.xml import network


def ports_left(hypervisor: Hypervisor) -> Found:
    """Find rows of ports that outlived their hosts."""
    for row in [] if hypervisor.simulated else ports.stale(hypervisor):
        if _has_outlived(hypervisor, row):
            problem = f"its row in Open vSwitch ({_place(row)}) outlived its host"
            yield (
                Finding("port", row.name, problem, "--fix removes the row"),
                partial(openvswitch.sweep, [row]),
            )


def ports_unclear(hypervisor: Hypervisor) -> Found:
    """Find rows that libvirt may take for a new port, and that may be left over or may not."""
    for row in [] if hypervisor.simulated else ports.unclear(hypervisor):
        # Once more: a host that goes between two looks takes its rows along.
        if row in ports.unclear(hypervisor):
            problem = f"its row in Open vSwitch ({_place(row)}) may have outlived its host"
            remedy = (
                "'shctl doctor --fix' in a root shell sees more; if it stays and nothing uses it,"
                f" 'ovs-vsctl del-port {row.name}'"
            )
            yield Finding("port", row.name, problem, remedy), None


def _place(row: openvswitch.PortRow) -> str:
    return f"bridge {row.bridge}, {'no tag' if row.tag is None else f'tag {row.tag}'}"


def _has_outlived(hypervisor: Hypervisor, row: openvswitch.PortRow) -> bool:
    """Look at a row again: a host that was stopped between two looks took its rows along."""

    def still() -> bool:
        return row in ports.stale(hypervisor)

    host = next((host for host in hypervisor.domains() if host.uuid == row.domain), None)
    return is_so(host.name, still) if host else still()


def ports_wrong(hypervisor: Hypervisor) -> Found:
    """Find hosts that run with a port that is not as their network says."""
    for host, _ in look(hypervisor).hosts:
        with suppress(NotFound):
            wrong = _wrong_port(hypervisor, host)
            if wrong and is_so(host.name, partial(_has_wrong_port, hypervisor, host)):
                yield Finding("host", host.name, wrong, "stop it and start it again"), None


def _wrong_port(hypervisor: Hypervisor, host: Domain) -> str | None:
    return power.wrong_port(hypervisor, host) if host.active else None


def _has_wrong_port(hypervisor: Hypervisor, host: Domain) -> bool:
    return _wrong_port(hypervisor, host) is not None


def networks(hypervisor: Hypervisor) -> Found:
    """Find networks without their bridge, and inactive ones."""
    known = [] if hypervisor.simulated else openvswitch.bridges()
    for row in hypervisor.networks():
        with suppress(NotFound):
            read = network.read(hypervisor.network(row.name).xml())
            if not read.switched or hypervisor.simulated:
                continue
            removal = f"or 'shctl networks delete {row.name}'"
            if read.bridge not in known:
                problem = f"its bridge {read.bridge} does not exist in Open vSwitch"
                remedy = f"'ovs-vsctl add-br {read.bridge}', {removal}"
                yield Finding("network", row.name, problem, remedy), None
            if row.state == "inactive":
                problem = "it is inactive, so hosts on it do not start"
                remedy = f"'virsh net-start {row.name}', {removal}"
                yield Finding("network", row.name, problem, remedy), None
