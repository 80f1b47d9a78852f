"""Return what starting, stopping and rebooting a host would do; change nothing."""

from shctl.common import defaults
from shctl.common.model import ChangePlan, PlannedStep
from shctl.common.states import DomainState
from shctl.hosts import power, stopping
from shctl.hypervisor.connection import Hypervisor
from shctl.networks.choice import switch_of


def start(hypervisor: Hypervisor, name: str) -> ChangePlan:
    """Return what power.start() would do; raise NotFound, Conflict, Unreachable."""
    hypervisor.check_writable()
    host = hypervisor.domain(name)
    if not host.active:
        power.check_complete(host)
        # A start would find this out at the end, and power the host off again.
        switch_of(hypervisor).check()
        text = f"Start host {name!r} paused, check its ports, and let its guest run."
        return _plan(name, ("start", text))
    state = host.state
    if state == DomainState.PAUSED:
        return _plan(name, ("resume", f"Check the ports of host {name!r}, and resume its guest."))
    if state == DomainState.PMSUSPENDED:
        return _plan(name, ("wake", f"Check the ports of host {name!r}, and wake its guest."))
    power.check_running(hypervisor, host)
    return _plan(name)


def stop(
    hypervisor: Hypervisor, name: str, *, force: bool = False, timeout: float | None = None
) -> ChangePlan:
    """Return what stopping.stop() would do; raise NotFound, Conflict."""
    host = hypervisor.domain(name)
    if not host.active:
        return _plan(name)
    off = ("destroy", f"Power off host {name!r}.")
    install = stopping.running_installation(host)
    if install and install.open:
        stopping.check_forced(host, force=force)
        return _plan(name, off)
    if force and not timeout:
        return _plan(name, off)
    if not force:
        stopping.check_awake(host)
    seconds = defaults.STOP_TIMEOUT if timeout is None else timeout
    text = f"Ask the guest of host {name!r} to shut down, and wait {seconds:g} s until it is off."
    later = ("destroy", f"Power off host {name!r} if it is still on then.")
    return _plan(name, ("shut down", text), *([later] if force else []))


def reboot(hypervisor: Hypervisor, name: str, *, force: bool = False) -> ChangePlan:
    """Return what stopping.reboot() would do; raise NotFound, Conflict."""
    host = hypervisor.domain(name)
    stopping.check_active(host)
    stopping.check_no_installer(host)
    if force and host.state != DomainState.PMSUSPENDED:
        return _plan(name, ("reset", f"Reset host {name!r}."))
    stopping.check_awake(host)
    return _plan(name, ("reboot", f"Ask the guest of host {name!r} to reboot."))


def _plan(name: str, *steps: tuple[str, str]) -> ChangePlan:
    return ChangePlan(
        name, tuple(PlannedStep(action, f"host {name}", text) for action, text in steps)
    )
