"""Start hosts, and never let one run on a wrong VLAN."""

import time
from collections.abc import Callable

from shctl.common import cancellation, locks
from shctl.common.errors import Conflict, TimedOut
from shctl.common.model import Outcome
from shctl.common.rollback import Undo
from shctl.common.timeout import within
from shctl.hosts import redefinition, stalls
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.networks import openvswitch, ports
from shctl.xml import domain

_INTERVAL = 0.1  # seconds
_PATIENCE = 20.0  # seconds that QEMU may take for what it does at once
_WAKING = 5.0  # seconds
_RETRY = 1.0  # seconds in which QEMU does again what a full disk kept it from


def start(hypervisor: Hypervisor, name: str) -> Outcome:
    """Start a host, resume a paused one, wake a sleeping one; leave one that runs alone.

    Raises NoSpace when it pauses again since a disk is full, Conflict when it cannot run.
    """
    with locks.hold("host", name):
        host = hypervisor.domain(name)
        if not host.active:
            check_whole(host)
        return Outcome(name, ensure_on(hypervisor, host))


def ensure_on(hypervisor: Hypervisor, host: Domain) -> str:
    """Start a host that is off, get a paused or sleeping one going; return which it was.

    To be called with the host's lock held.
    """
    if not host.active:
        power_on(hypervisor, host)
        return "started"
    state = host.state
    if state == "paused":
        return _resume(hypervisor, host)
    if state == "pmsuspended":
        return _wake(hypervisor, host)
    _check_going(hypervisor, host)
    return "already running"


def _resume(hypervisor: Hypervisor, host: Domain) -> str:
    check_ports(hypervisor, host)
    stuck = stalls.is_stuck(host)
    ask(host, host.resume)
    # libvirt takes the guest for running until QEMU has failed at the same place again.
    if stuck:
        wait_until(lambda: stalls.is_stuck(host), _RETRY, to_the_end=True)
    _check_going(hypervisor, host)
    return "resumed"


def _wake(hypervisor: Hypervisor, host: Domain) -> str:
    check_ports(hypervisor, host)
    ask(host, host.wake)
    wait_until(lambda: host.state != "pmsuspended", _WAKING, to_the_end=True)
    _check_going(hypervisor, host)
    return "woken"


def _check_going(hypervisor: Hypervisor, host: Domain) -> None:
    """Raise what keeps a host's guest from running."""
    if stall := stalls.find(hypervisor, host):
        raise stall.error(host.name)


def check_whole(host: Domain) -> None:
    """Raise Conflict for a host whose creation or deletion was interrupted."""
    xml = host.xml(stored=True)
    redefinition.check(host, xml)
    data = domain.read(xml).metadata
    if data and not data.complete:
        raise Conflict(
            f"host {host.name!r} is incomplete: its creation or deletion was interrupted;"
            f" 'shctl hosts delete {host.name}' removes what there is"
        )


def power_on(hypervisor: Hypervisor, host: Domain, *, installer: str | None = None) -> None:
    """Start a domain's QEMU and let its guest run once its ports have been checked.

    The guest is held until then, so that it sends not one frame on a wrong VLAN. `installer` is
    XML to start the domain by instead of what is stored.
    """
    check_ports_free(host, sweep_ports(hypervisor))
    with Undo() as undo:
        # A start that fails while ovs-vswitchd is dead leaves the port's row.
        undo.push(f"ports of {host.name}", lambda: sweep_ports(hypervisor))
        # Only once the start has succeeded: somebody else may have been faster with it.
        undo.made(
            f"running host {host.name}",
            lambda: hypervisor.launch_paused(installer) if installer else host.start_paused(),
            lambda _: host.destroy(),
        )
        running = host.xml()
        if not installer and "<kernel>" in running:
            # Somebody may have redefined the host in the meantime. An installer that was saved
            # goes on here as well: that is meant, and it would be lost if it were stopped.
            redefinition.check(host, host.xml(stored=True))
        check_ports(hypervisor, host, running)
        ask(host, host.resume)


def check_switch(hypervisor: Hypervisor) -> None:
    """Raise Unreachable unless Open vSwitch answers."""
    if not hypervisor.simulated:
        openvswitch.bridges()


def sweep_ports(hypervisor: Hypervisor) -> list[openvswitch.PortRow]:
    """Remove the Open vSwitch rows of ports that outlived their hosts; return the other rows.

    libvirt would take such a row for the new port of that name, old tag and all.
    """
    if hypervisor.simulated:
        return []
    rows = openvswitch.ports()
    stale = ports.outlived(rows, lambda: ports.dead_hosts(hypervisor))
    openvswitch.sweep(stale)
    return [row for row in rows if row not in stale]


def check_ports_free(host: Domain, rows: list[openvswitch.PortRow]) -> None:
    """Raise Conflict where libvirt may take a port of another owner for one of the host's."""
    others = [row for row in rows if row.name != row.bridge]
    if not others:
        return
    named = {row.port for row in domain.read(host.xml(stored=True)).interfaces if row.port}
    if row := ports.in_the_way(others, named, host.uuid):
        raise Conflict(
            f"host {host.name!r} is not started: libvirt may take port {row.name} (bridge"
            f" {row.bridge}), which is not its own, and remove it when the host stops;"
            " give one of the two another name first"
        )


def check_ports(hypervisor: Hypervisor, host: Domain, xml: str | None = None) -> None:
    """Raise Conflict unless Open vSwitch has each of the host's ports with its tags.

    `xml` is the host's as it runs, for who has it already.
    """
    if wrong := wrong_port(hypervisor, host, xml):
        raise Conflict(f"host {host.name!r} may not run: {wrong}, then start the host again")


def wrong_port(hypervisor: Hypervisor, host: Domain, xml: str | None = None) -> str | None:
    """Say what is wrong with the ports of a running host, or return None."""
    if hypervisor.simulated:
        return None
    wanted = [row for row in domain.read(xml or host.xml()).interfaces if row.switched]
    rows = {row.name: row for row in openvswitch.ports()} if wanted else {}
    return next(filter(None, (_fault(row, rows) for row in wanted)), None)


def _fault(wanted: domain.InterfaceRow, rows: dict[str, openvswitch.PortRow]) -> str | None:
    row = rows.get(wanted.port or "")
    if row is None:
        return f"Open vSwitch has no port {wanted.port}; see that openvswitch-switch runs"
    if row.type:
        return f"its port {row.name} in Open vSwitch is one of type {row.type}; look at it"
    # libvirt puts the native tag into the trunk as well.
    trunk = tuple(tag for tag in row.trunk if tag != wanted.vlan)
    have = (row.bridge, row.tag, trunk)
    want = (wanted.bridge, wanted.vlan, wanted.trunk)
    if have == want and row.vlan_mode in _modes(row):
        return None
    return (
        f"its port {row.name} has (bridge, tag, trunk) {have} and VLAN mode {row.vlan_mode} in"
        f" Open vSwitch, not {want}; something else made that row: look at it"
    )


def _modes(row: openvswitch.PortRow) -> tuple[str | None, ...]:
    """Return the modes in which a port keeps to its tag and trunk; any other lets more through."""
    if row.tag is None:
        return None, "trunk"
    return ("native-untagged", "native-tagged") if row.trunk else (None, "access")


def ask(host: Domain, deed: Callable[[], None], seconds: float = _PATIENCE) -> None:
    """Have QEMU do something; raise TimedOut when it hangs, which libvirt would wait out."""
    late = (
        f"QEMU of host {host.name!r} does not answer within {seconds:g} s;"
        f" 'shctl hosts stop {host.name} --force' ends it"
    )
    within(seconds, deed, TimedOut(late))


def wait_until(condition: Callable[[], bool], seconds: float, *, to_the_end: bool = False) -> bool:
    """Wait until the condition is true; return False when `seconds` are over before.

    Raises Left when whoever asked has left, unless something is to come `to_the_end`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if not to_the_end:
            cancellation.check()
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(_INTERVAL, left))
    return True
