"""Start hosts, and let a guest run only after its ports have been checked."""

import time
from collections.abc import Callable

from shctl.common import cancellation, locks
from shctl.common.errors import Conflict, TimedOut
from shctl.common.model import Outcome
from shctl.common.rollback import Rollback
from shctl.common.states import DomainState
from shctl.common.timeout import run_with_timeout
from shctl.hosts import redefinition, stalls
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.networks import openvswitch, ports
from shctl.xml import domain

_INTERVAL = 0.1  # seconds
_QEMU_TIMEOUT = 20.0  # seconds; QEMU answers within milliseconds unless it hangs
_WAKE_TIMEOUT = 5.0  # seconds
_RETRY_TIME = 1.0  # seconds in which QEMU repeats the failed write after a resume


def start(hypervisor: Hypervisor, name: str) -> Outcome:
    """Start a host, resume a paused one, wake a sleeping one; leave a running one alone.

    Raises NoSpace if it pauses again because a disk is full, Conflict if it cannot run.
    """
    with locks.hold("host", name):
        host = hypervisor.domain(name)
        if not host.active:
            check_complete(host)
        return Outcome(name, ensure_on(hypervisor, host))


def ensure_on(hypervisor: Hypervisor, host: Domain) -> str:
    """Start a host, resume a paused one or wake a sleeping one; return what was done.

    The caller holds the host's lock.
    """
    if not host.active:
        power_on(hypervisor, host)
        return "started"
    state = host.state
    if state == DomainState.PAUSED:
        return _resume(hypervisor, host)
    if state == DomainState.PMSUSPENDED:
        return _wake(hypervisor, host)
    _check_running(hypervisor, host)
    return "already running"


def _resume(hypervisor: Hypervisor, host: Domain) -> str:
    check_ports(hypervisor, host)
    stuck = stalls.is_stuck(host)
    ask_qemu(host, host.resume)
    # libvirt reports the guest as running until the same write has failed again.
    if stuck:
        wait_until(lambda: stalls.is_stuck(host), _RETRY_TIME, cancellable=False)
    _check_running(hypervisor, host)
    return "resumed"


def _wake(hypervisor: Hypervisor, host: Domain) -> str:
    check_ports(hypervisor, host)
    ask_qemu(host, host.wake)
    wait_until(lambda: host.state != DomainState.PMSUSPENDED, _WAKE_TIMEOUT, cancellable=False)
    _check_running(hypervisor, host)
    return "woken"


def _check_running(hypervisor: Hypervisor, host: Domain) -> None:
    """Raise the error for a host whose guest does not run."""
    if stall := stalls.find(hypervisor, host):
        raise stall.error(host.name)


def check_complete(host: Domain) -> None:
    """Raise Conflict if the host's creation or deletion was interrupted."""
    xml = host.xml(stored=True)
    redefinition.check(host, xml)
    data = domain.read(xml).metadata
    if data and not data.complete:
        raise Conflict(
            f"host {host.name!r} is incomplete: its creation or deletion was interrupted;"
            f" 'shctl hosts delete {host.name}' removes the rest"
        )


def power_on(hypervisor: Hypervisor, host: Domain, *, installer: str | None = None) -> None:
    """Start a domain's QEMU paused, check its ports and let its guest run.

    So the guest sends no frame on a wrong VLAN. `installer` is XML to start instead of the stored
    definition.
    """
    check_ports_free(host, remove_stale_ports(hypervisor))
    with Rollback() as undo:
        # A start that fails while ovs-vswitchd is down leaves the port's row.
        undo.push(f"ports of {host.name}", lambda: remove_stale_ports(hypervisor))
        # Pushed after the start succeeded: if it failed, another program may have started the host.
        undo.make(
            f"running host {host.name}",
            lambda: hypervisor.launch_paused(installer) if installer else host.start_paused(),
            lambda _: host.destroy(),
        )
        running = host.xml()
        if not installer and "<kernel>" in running:
            # Another program may have redefined the host meanwhile. The stored XML is checked: a
            # saved installer has a kernel too, and may continue.
            redefinition.check(host, host.xml(stored=True))
        check_ports(hypervisor, host, running)
        ask_qemu(host, host.resume)


def check_switch(hypervisor: Hypervisor) -> None:
    """Raise Unreachable unless Open vSwitch answers."""
    if not hypervisor.simulated:
        openvswitch.bridges()


def remove_stale_ports(hypervisor: Hypervisor) -> list[openvswitch.PortRow]:
    """Remove stale rows from Open vSwitch; return the other rows.

    libvirt would reuse such a row, with its old tag, for a new port of the same name.
    """
    if hypervisor.simulated:
        return []
    rows = openvswitch.ports()
    stale = ports.find_stale(rows, lambda: ports.inactive_hosts(hypervisor))
    openvswitch.remove_stale_ports(stale)
    return [row for row in rows if row not in stale]


def check_ports_free(host: Domain, rows: list[openvswitch.PortRow]) -> None:
    """Raise Conflict if libvirt may reuse a port of another owner for the host."""
    # A bridge's own port has the name of the bridge.
    others = [row for row in rows if row.name != row.bridge]
    if not others:
        return
    named = {row.port for row in domain.read(host.xml(stored=True)).interfaces if row.port}
    if row := ports.find_conflict(others, named, host.uuid):
        raise Conflict(
            f"host {host.name!r} was not started: libvirt might reuse port {row.name} on bridge"
            f" {row.bridge}, which has another owner, and remove it when the host stops;"
            " rename one of the two ports"
        )


def check_ports(hypervisor: Hypervisor, host: Domain, xml: str | None = None) -> None:
    """Raise Conflict unless Open vSwitch has each of the host's ports with its tags.

    `xml` is the running definition, if the caller has read it already.
    """
    if wrong := wrong_port(hypervisor, host, xml):
        raise Conflict(f"host {host.name!r} must not run: {wrong}, then start the host again")


def wrong_port(hypervisor: Hypervisor, host: Domain, xml: str | None = None) -> str | None:
    """Describe what is wrong with the ports of a running host; None for nothing."""
    if hypervisor.simulated:
        return None
    interfaces = [row for row in domain.read(xml or host.xml()).interfaces if row.switched]
    rows = {row.name: row for row in openvswitch.ports()} if interfaces else {}
    return next(filter(None, (_fault(row, rows) for row in interfaces)), None)


def _fault(interface: domain.InterfaceRow, rows: dict[str, openvswitch.PortRow]) -> str | None:
    row = rows.get(interface.port or "")
    if row is None:
        return f"Open vSwitch has no port {interface.port}; make sure that openvswitch-switch runs"
    if row.type:
        return f"its port {row.name} in Open vSwitch has type {row.type}; check what created it"
    # libvirt adds the native tag to the trunk.
    trunk = tuple(tag for tag in row.trunk if tag != interface.vlan)
    found = (row.bridge, row.tag, trunk)
    expected = (interface.bridge, interface.vlan, interface.trunk)
    if found == expected and row.vlan_mode in _modes(row):
        return None
    return (
        f"its port {row.name} has (bridge, tag, trunk) {found} and VLAN mode {row.vlan_mode} in"
        f" Open vSwitch instead of {expected}; check which program changed it"
    )


def _modes(row: openvswitch.PortRow) -> tuple[str | None, ...]:
    """Return the VLAN modes that limit a port to its tag and trunk.

    See vlan_mode in ovs-vswitchd.conf.db(5); another mode lets other VLANs through.
    """
    if row.tag is None:
        return None, "trunk"
    return ("native-untagged", "native-tagged") if row.trunk else (None, "access")


def ask_qemu(host: Domain, call: Callable[[], None], seconds: float = _QEMU_TIMEOUT) -> None:
    """Make a call that QEMU answers; raise TimedOut if it hangs. libvirt would wait forever."""
    message = (
        f"QEMU of host {host.name!r} did not answer within {seconds:g} s;"
        f" 'shctl hosts stop {host.name} --force' kills it"
    )
    run_with_timeout(seconds, call, TimedOut(message))


def wait_until(condition: Callable[[], bool], seconds: float, *, cancellable: bool = True) -> bool:
    """Wait until the condition is true; return False if it is not within `seconds`.

    Raises Left if the caller has disconnected, unless `cancellable` is false.
    """
    end = time.monotonic() + seconds
    while not condition():
        if cancellable:
            cancellation.check()
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(_INTERVAL, left))
    return True
