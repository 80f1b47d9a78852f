"""Stop and reboot hosts."""

import time
from contextlib import suppress
from dataclasses import replace

from shctl.common import locks
from shctl.common.errors import Conflict, NotFound, TimedOut
from shctl.common.model import Outcome
from shctl.hosts.power import ask, wait_until
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.xml import domain, metadata
from shctl.xml.metadata import Installation

STOP_TIMEOUT = 60.0  # seconds


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
        ask(host, host.shut_down, seconds)
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
        ask(host, host.reset)
        return Outcome(name, "reset")
    _check_awake(host)
    ask(host, host.reboot)
    return Outcome(name, "rebooting")


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
