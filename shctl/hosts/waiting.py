"""Wait until something is true of a host."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shctl.common import locks
from shctl.common.errors import Conflict, InstallFailed, TimedOut, Unreachable
from shctl.common.model import HostDetail
from shctl.common.states import DomainState, Phase
from shctl.hosts import details, installation, power, stalls
from shctl.hypervisor.connection import Hypervisor
from shctl.xml.metadata import Installation

TIMEOUT = 7200.0  # seconds
MOST_ASKERS = 2
RESTART = 60.0  # seconds that libvirt or Open vSwitch may be away once they have answered

_askers: Counter[str] = Counter()
_lock = threading.Lock()


def wait(hypervisor: Hypervisor, name: str, wanted: str, timeout: float = TIMEOUT) -> HostDetail:
    """Wait until the host is running, stopped, installed or has an address; return it.

    `timeout` in seconds. An installation that ends meanwhile is brought to its end. Raises
    NotFound, TimedOut, InstallFailed, Conflict when it can never become true, NoSpace when a full
    disk holds the host up, and Unreachable.
    """

    def holds() -> bool:
        try:
            install = installation.advance(hypervisor, name, patience=0)
        except locks.Busy:
            return False
        if _CONDITIONS[wanted](hypervisor, name, install):
            return True
        _check_writable(hypervisor, name)
        return False

    if not power.wait_until(_patient(holds), timeout):
        host = hypervisor.domain(name)
        lacks = "has no address" if wanted == "address" else f"is not {wanted}"
        state, reason = host.state_and_reason
        now = f"{state} ({reason})" if reason else state
        raise TimedOut(f"host {name!r} {lacks} after {timeout:g} s; it is {now}")
    return details.show(hypervisor, name)


def _check_writable(hypervisor: Hypervisor, name: str) -> None:
    """Raise what a disk error is to whoever waits: nothing comes of it until somebody acts."""
    host = hypervisor.domain(name)
    if stalls.is_stuck(host) and (stall := stalls.find(hypervisor, host)):
        raise stall.error(name)


def _patient(holds: Callable[[], bool]) -> Callable[[], bool]:
    """Return the condition as one that outlasts a restart of libvirt or Open vSwitch."""
    answered = float("-inf")

    def holds_so_far() -> bool:
        nonlocal answered
        try:
            answer = holds()
        except Unreachable:
            if time.monotonic() > answered + RESTART:
                raise
            return False
        answered = time.monotonic()
        return answer

    return holds_so_far


def _is_running(hypervisor: Hypervisor, name: str, _install: Installation | None) -> bool:
    return hypervisor.domain(name).state == DomainState.RUNNING


def _is_stopped(hypervisor: Hypervisor, name: str, _install: Installation | None) -> bool:
    return not hypervisor.domain(name).active


def _is_installed(_hypervisor: Hypervisor, name: str, install: Installation | None) -> bool:
    if install is None:
        raise Conflict(f"host {name!r} was created without an installation, so nothing installs it")
    if install.phase == Phase.FAILED:
        raise InstallFailed(f"the installation of host {name!r} failed: {install.reason}")
    return install.phase == Phase.INSTALLED


def _has_address(hypervisor: Hypervisor, name: str, _install: Installation | None) -> bool:
    with _asking(name) as may:
        return may and any(i.addresses for i in details.show(hypervisor, name).interfaces)


@contextmanager
def _asking(name: str) -> Iterator[bool]:
    """Have only so many ask one guest at a time; whether one may, for it asks again soon.

    A guest that hangs holds up libvirt, whose workers are few.
    """
    with _lock:
        may = _askers[name] < MOST_ASKERS
        _askers[name] += may
    try:
        yield may
    finally:
        with _lock:
            _askers[name] -= may
            if not _askers[name]:
                del _askers[name]


_CONDITIONS: dict[str, Callable[[Hypervisor, str, Installation | None], bool]] = {
    "running": _is_running,
    "stopped": _is_stopped,
    "installed": _is_installed,
    "address": _has_address,
}
