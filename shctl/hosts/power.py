"""Start hosts, and let a guest run only after its ports have been checked."""

import time
from collections.abc import Callable
from threading import Event

from shctl.common import cancellation, locks
from shctl.common.errors import Conflict, TimedOut
from shctl.common.model import Outcome
from shctl.common.rollback import Rollback
from shctl.common.signals import interruptible
from shctl.common.states import DomainState
from shctl.common.timeout import run_with_timeout
from shctl.hosts import redefinition, stalls
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.networks import ports
from shctl.xml import domain

_INTERVAL = 0.1  # seconds
_EVENT_INTERVAL = 0.5  # seconds; addresses, and disks that become full, cause no event
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
    check_running(hypervisor, host)
    return "already running"


def _resume(hypervisor: Hypervisor, host: Domain) -> str:
    ports.check(hypervisor, host)
    stuck = stalls.is_stuck(host)
    ask_qemu(host, host.resume)
    # libvirt reports the guest as running until the same write has failed again.
    if stuck:
        wait_until(lambda: stalls.is_stuck(host), _RETRY_TIME, cancellable=False)
    check_running(hypervisor, host)
    return "resumed"


def _wake(hypervisor: Hypervisor, host: Domain) -> str:
    ports.check(hypervisor, host)
    ask_qemu(host, host.wake)
    wait_until(lambda: host.state != DomainState.PMSUSPENDED, _WAKE_TIMEOUT, cancellable=False)
    check_running(hypervisor, host)
    return "woken"


def check_running(hypervisor: Hypervisor, host: Domain) -> None:
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
    others = ports.remove_stale(hypervisor)
    ports.check_free(host, others)
    with Rollback() as undo:
        # A start that fails while ovs-vswitchd is down leaves the port's row.
        undo.push(f"ports of {host.name}", lambda: ports.remove_stale(hypervisor))
        _start_paused(hypervisor, host, installer, undo)
        running = host.xml()
        if not installer:
            _check_not_redefined(host, running)
        ports.check(hypervisor, host, running)
        ask_qemu(host, host.resume)


def _start_paused(
    hypervisor: Hypervisor, host: Domain, installer: str | None, undo: Rollback
) -> None:
    def launch() -> None:
        if installer:
            hypervisor.launch_paused(installer)
        else:
            host.start_paused()

    # Undone only if it succeeded: if it failed, another program may have started the host.
    undo.make(f"running host {host.name}", launch, lambda _: host.destroy())


def _check_not_redefined(host: Domain, running: str) -> None:
    """Raise Conflict if another program stored the installer while the host was started."""
    # The stored XML is checked: a saved installer runs with its kernel too, and may continue.
    if "<kernel>" in running:
        redefinition.check(host, host.xml(stored=True))


def ask_qemu(host: Domain, call: Callable[[], object], seconds: float | None = None) -> None:
    """Make a call that QEMU answers; raise TimedOut if it hangs. libvirt would wait forever."""
    limit = _QEMU_TIMEOUT if seconds is None else seconds
    message = (
        f"QEMU of host {host.name!r} did not answer within {limit:g} s;"
        f" 'shctl hosts stop {host.name} --force' kills it"
    )
    # Within a creation's step too, whose Rollback ends this QEMU.
    with interruptible():
        run_with_timeout(limit, call, TimedOut(message))


def wait_until(
    condition: Callable[[], bool],
    seconds: float,
    *,
    cancellable: bool = True,
    changed: Event | None = None,
) -> bool:
    """Wait until the condition is true; return False if it is not within `seconds`.

    It is checked when `changed` is set, and from time to time. Raises ClientGone if the caller has
    disconnected, unless `cancellable` is false.
    """
    end = time.monotonic() + seconds
    while not condition():
        if cancellable:
            cancellation.check()
        left = end - time.monotonic()
        if left <= 0:
            return False
        if changed is None:
            time.sleep(min(_INTERVAL, left))
        else:
            changed.wait(min(_EVENT_INTERVAL, left))
            changed.clear()
    return True
