"""Stop and reboot hosts."""

import time
from contextlib import suppress
from dataclasses import replace
from threading import Event

from shctl.common import defaults, locks
from shctl.common.errors import Conflict, NotFound, TimedOut
from shctl.common.model import Outcome
from shctl.common.states import DomainState
from shctl.hosts.power import ask_qemu, wait_until
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.xml import domain, metadata
from shctl.xml.metadata import Installation


def stop(
    hypervisor: Hypervisor, name: str, *, force: bool = False, timeout: float | None = None
) -> Outcome:
    """Ask a host to shut down and wait until it is off, `timeout` in seconds.

    With `force`, power it off: at once, or after `timeout` if one is given. Raises TimedOut if the
    host is still on, Conflict if it is paused.
    """
    host = hypervisor.domain(name)
    if not host.active:
        return Outcome(name, "already shut off")
    install = running_installation(host)
    if install and install.open:
        return _stop_installer(host, force=force)
    if install and install.late:
        _clear_cause(host)
    # --force --timeout 0 powers the host off at once, as --force alone does.
    if not force or timeout:
        seconds = defaults.STOP_TIMEOUT if timeout is None else timeout
        with hypervisor.watching() as changed:
            _shut_down(host, changed, force=force, seconds=seconds)
    if _is_off(host):
        return Outcome(name, DomainState.SHUT_OFF)
    return _power_off(host)


def _power_off(host: Domain) -> Outcome:
    # With the lock: a concurrent start would fail with an internal error of libvirt.
    with locks.hold("host", host.name):
        host.destroy()
    return Outcome(host.name, "powered off")


def running_installation(host: Domain) -> Installation | None:
    """Return the installation whose installer the host runs now."""
    info = domain.read(host.xml())
    return info.metadata.install if info.installer and info.metadata else None


def _clear_cause(host: Domain) -> None:
    """Mark an overdue installation as stopped, so that the shutdown does not count as success."""
    with locks.hold("host", host.name):
        data = domain.read(host.xml(stored=True)).metadata
        if data and data.install and data.install.late:
            element = metadata.text(replace(data, install=replace(data.install, cause=None)))
            host.set_metadata(element, metadata.URI, metadata.KEY)


def _stop_installer(host: Domain, *, force: bool) -> Outcome:
    check_forced(host, force=force)
    return _power_off(host)


def check_forced(host: Domain, *, force: bool) -> None:
    """Raise Conflict unless `force`: a clean shutdown of an installer would count as success."""
    if not force:
        raise Conflict(
            f"host {host.name!r} is being installed; --force powers it off, and the installation"
            " counts as failed"
        )


def _shut_down(host: Domain, changed: Event, *, force: bool, seconds: float) -> None:
    if not force:
        check_awake(host)
    elif host.state == DomainState.PMSUSPENDED:
        return  # libvirt refuses to shut it down
    end = time.monotonic() + seconds
    with suppress(TimedOut):  # QEMU hangs
        ask_qemu(host, host.shut_down, seconds)
    left = end - time.monotonic()
    # With force, it is powered off afterwards even if the caller has disconnected.
    is_off = wait_until(lambda: _is_off(host), left, cancellable=not force, changed=changed)
    if not is_off and not force:
        raise TimedOut(
            f"host {host.name!r} is still {host.state} after {seconds:g} s;"
            " --force powers it off, --timeout waits longer"
        )


def _is_off(host: Domain) -> bool:
    try:
        return not host.active
    except NotFound:  # a transient domain disappears when it stops
        return True


def reboot(hypervisor: Hypervisor, name: str, *, force: bool = False) -> Outcome:
    """Ask a host to reboot, or with `force` reset it; raise Conflict unless it runs."""
    host = hypervisor.domain(name)
    check_active(host)
    check_no_installer(host)
    if force and host.state != DomainState.PMSUSPENDED:  # a reset would leave it half asleep
        ask_qemu(host, host.reset)
        return Outcome(name, "reset")
    check_awake(host)
    ask_qemu(host, host.reboot)
    return Outcome(name, "rebooting")


def check_active(host: Domain) -> None:
    """Raise Conflict unless a host is on."""
    if not host.active:
        raise Conflict(
            f"host {host.name!r} is {host.state}; 'shctl hosts start {host.name}' starts it"
        )


def check_no_installer(host: Domain) -> None:
    """Raise Conflict if a host runs its installer."""
    install = running_installation(host)
    if install and install.open:
        raise Conflict(f"host {host.name!r} is being installed; its installer reboots it")
    if install:
        raise Conflict(
            f"host {host.name!r} still runs its installer, which has failed;"
            f" 'shctl hosts stop {host.name} --force' stops it"
        )


def check_awake(host: Domain) -> None:
    """Raise Conflict if a host's guest is paused or asleep, so that it cannot respond."""
    state, reason = host.state_and_reason
    if state == DomainState.PAUSED:
        raise Conflict(
            f"host {host.name!r} is paused ({reason or 'reason unknown'}) and cannot respond;"
            f" 'shctl hosts start {host.name}' resumes it, --force does not need the guest"
        )
    if state == DomainState.PMSUSPENDED:
        raise Conflict(
            f"host {host.name!r} is asleep and cannot respond;"
            f" 'shctl hosts start {host.name}' wakes it,"
            f" 'shctl hosts stop {host.name} --force' powers it off"
        )
