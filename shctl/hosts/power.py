"""Start, stop and reboot hosts, and never let one run on a wrong VLAN."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from shctl import domain, locks, metadata, openvswitch, ports, presence
from shctl.deadline import within
from shctl.errors import Conflict, NotFound, TimedOut
from shctl.handles import Domain
from shctl.hosts import redefined, stalls
from shctl.hypervisor import Hypervisor
from shctl.metadata import Installation
from shctl.model import Outcome
from shctl.undo import Undo

STOP_TIMEOUT = 60.0  # seconds
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
    _ask(host, host.resume)
    # libvirt takes the guest for running until QEMU has failed at the same place again.
    if stuck:
        wait_until(lambda: stalls.is_stuck(host), _RETRY)
    _check_going(hypervisor, host)
    return "resumed"


def _wake(hypervisor: Hypervisor, host: Domain) -> str:
    check_ports(hypervisor, host)
    _ask(host, host.wake)
    wait_until(lambda: host.state != "pmsuspended", _WAKING)
    _check_going(hypervisor, host)
    return "woken"


def _check_going(hypervisor: Hypervisor, host: Domain) -> None:
    """Raise what keeps a host's guest from running."""
    if stall := stalls.find(hypervisor, host):
        raise stall.error(host.name)


def check_whole(host: Domain) -> None:
    """Raise Conflict for a host whose creation or deletion was interrupted."""
    xml = host.xml(stored=True)
    redefined.check(host, xml)
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
        if not installer:
            # What runs counts: somebody may have redefined the host in the meantime.
            redefined.check(host, running)
        check_ports(hypervisor, host, running)
        _ask(host, host.resume)


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


def stop(
    hypervisor: Hypervisor, name: str, *, force: bool = False, timeout: float | None = None
) -> Outcome:
    """Ask a host to shut down and wait for it, `timeout` in seconds.

    With `force` the plug is pulled: at once, or when `timeout` is over where one is given.
    Raises TimedOut when the host is still on, Conflict when it is paused.
    """
    host = hypervisor.domain(name)
    if not host.active:
        return Outcome(name, "already shut off")
    if install := _installation(host):
        if install.open:
            return _stop_installer(host, force=force)
        if install.late:
            _give_up(host)
    if not force or timeout:
        _shut_down(host, force=force, seconds=STOP_TIMEOUT if timeout is None else timeout)
    if not _is_off(host):
        return _power_off(host)
    return Outcome(name, "shut off")


def _power_off(host: Domain) -> Outcome:
    # Whoever is starting it at this moment would meet an internal error of libvirt's.
    with locks.hold("host", host.name):
        host.destroy()
    return Outcome(host.name, "powered off")


def _installation(host: Domain) -> Installation | None:
    """Return the installation whose installer is what the host runs now."""
    read = domain.read(host.xml())
    return read.metadata.install if read.installer and read.metadata else None


def _give_up(host: Domain) -> None:
    """Note that an installer that is late was asked to stop: its end is no success any more."""
    with locks.hold("host", host.name):
        data = domain.read(host.xml(stored=True)).metadata
        if data and data.install and data.install.late:
            element = metadata.text(replace(data, install=replace(data.install, cause=None)))
            host.set_metadata(element, metadata.URI, metadata.KEY)


def _stop_installer(host: Domain, *, force: bool) -> Outcome:
    """End an installation, which only `force` does: a clean stop would count as its success."""
    if not force:
        raise Conflict(
            f"host {host.name!r} is being installed; --force powers it off and the installation"
            " counts as failed"
        )
    return _power_off(host)


def _shut_down(host: Domain, *, force: bool, seconds: float) -> None:
    if not force:
        _check_awake(host)
    elif host.state == "pmsuspended":
        return  # libvirt refuses to ask it
    end = time.monotonic() + seconds
    with suppress(TimedOut):  # a QEMU that hangs
        _ask(host, host.shut_down, seconds)
    # Whoever wants the plug pulled at the end need not stay for that.
    left = end - time.monotonic()
    if not wait_until(lambda: _is_off(host), left, to_the_end=force) and not force:
        raise TimedOut(
            f"host {host.name!r} is still {host.state} after {seconds:g} s;"
            " --force powers it off, --timeout waits longer"
        )


def _is_off(host: Domain) -> bool:
    try:
        return not host.active
    except NotFound:  # a transient domain goes when it stops
        return True


def reboot(hypervisor: Hypervisor, name: str, *, force: bool = False) -> Outcome:
    """Ask a host to reboot, or with `force` reset it at once; raise Conflict unless it runs."""
    host = hypervisor.domain(name)
    if not host.active:
        raise Conflict(f"host {name!r} is {host.state}; 'shctl hosts start {name}' starts it")
    if install := _installation(host):
        raise Conflict(
            f"host {name!r} is being installed; its installer reboots it by itself"
            if install.open
            else f"host {name!r} still runs its installer, which has failed;"
            f" 'shctl hosts stop {name} --force' ends that"
        )
    if force and host.state != "pmsuspended":  # it would be neither asleep nor awake
        _ask(host, host.reset)
        return Outcome(name, "reset")
    _check_awake(host)
    _ask(host, host.reboot)
    return Outcome(name, "rebooting")


def _ask(host: Domain, deed: Callable[[], None], seconds: float = _PATIENCE) -> None:
    """Have QEMU do something; raise TimedOut when it hangs, which libvirt would wait out."""
    late = (
        f"QEMU of host {host.name!r} does not answer within {seconds:g} s;"
        f" 'shctl hosts stop {host.name} --force' ends it"
    )
    within(seconds, deed, TimedOut(late))


def _check_awake(host: Domain) -> None:
    state, reason = host.condition
    if state == "paused":
        raise Conflict(
            f"host {host.name!r} is paused ({reason or 'reason unknown'}) and would not notice;"
            f" 'shctl hosts start {host.name}' resumes it, --force does without it"
        )
    if state == "pmsuspended":
        raise Conflict(
            f"host {host.name!r} sleeps and would not notice; 'shctl hosts start {host.name}' wakes"
            f" it, 'shctl hosts stop {host.name} --force' powers it off"
        )


def wait_until(condition: Callable[[], bool], seconds: float, *, to_the_end: bool = False) -> bool:
    """Wait until the condition is true; return False when `seconds` are over before.

    Raises Left when whoever asked has left, unless something is to come `to_the_end`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if not to_the_end:
            presence.check()
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(_INTERVAL, left))
    return True
