"""Wait until a host is running, stopped or installed, or has an IP address."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shctl.common import defaults, locks
from shctl.common.errors import Conflict, InstallFailed, TimedOut, Unreachable
from shctl.common.model import HostDetail
from shctl.common.states import DomainState, Phase
from shctl.hosts import details, installation, power, stalls
from shctl.hypervisor.connection import Hypervisor
from shctl.xml.metadata import Installation

MAX_QUERIES = 2  # for addresses, at a time and host
RESTART = 60.0  # seconds that a restart of libvirt or Open vSwitch may take

_queries: Counter[str] = Counter()
_lock = threading.Lock()


def wait(
    hypervisor: Hypervisor, name: str, condition: str, timeout: float = defaults.WAIT_TIMEOUT
) -> HostDetail:
    """Wait for a condition: running, stopped, installed or address; return the host.

    `timeout` is in seconds. The host's installation is advanced meanwhile. Raise NotFound,
    TimedOut, Unreachable, InstallFailed, Conflict if the condition can never become true, and
    NoSpace if a full disk has paused the host.
    """

    def is_met() -> bool:
        try:
            install = installation.advance(hypervisor, name, timeout=0)
        except locks.Busy:  # another process works on the host
            return False
        if _CONDITIONS[condition](hypervisor, name, install):
            return True
        _check_writable(hypervisor, name)
        return False

    if not power.wait_until(_tolerating_restarts(is_met), timeout):
        host = hypervisor.domain(name)
        lacks = "has no address" if condition == "address" else f"is not {condition}"
        state, reason = host.state_and_reason
        now = f"{state} ({reason})" if reason else state
        raise TimedOut(f"host {name!r} {lacks} after {timeout:g} s; it is {now}")
    return details.show(hypervisor, name)


def _check_writable(hypervisor: Hypervisor, name: str) -> None:
    """Raise the error of a host that is paused by an I/O error: waiting alone does not help."""
    host = hypervisor.domain(name)
    if stalls.is_stuck(host) and (stall := stalls.find(hypervisor, host)):
        raise stall.error(name)


def _tolerating_restarts(is_met: Callable[[], bool]) -> Callable[[], bool]:
    """Return a check that is False, instead of raising Unreachable, during a restart of a daemon.

    Unreachable is raised at once if the daemons never answered.
    """
    last_answer = float("-inf")

    def is_met_now() -> bool:
        nonlocal last_answer
        try:
            answer = is_met()
        except Unreachable:
            if time.monotonic() > last_answer + RESTART:
                raise
            return False
        last_answer = time.monotonic()
        return answer

    return is_met_now


def _is_running(hypervisor: Hypervisor, name: str, _install: Installation | None) -> bool:
    return hypervisor.domain(name).state == DomainState.RUNNING


def _is_stopped(hypervisor: Hypervisor, name: str, _install: Installation | None) -> bool:
    return not hypervisor.domain(name).active


def _is_installed(_hypervisor: Hypervisor, name: str, install: Installation | None) -> bool:
    if install is None:
        raise Conflict(
            f"host {name!r} was created without an installation, so there is none to wait for"
        )
    if install.phase == Phase.FAILED:
        raise InstallFailed(f"the installation of host {name!r} failed: {install.reason}")
    return install.phase == Phase.INSTALLED


def _has_address(hypervisor: Hypervisor, name: str, _install: Installation | None) -> bool:
    with _query_slot(name) as is_free:
        return is_free and any(i.addresses for i in details.show(hypervisor, name).interfaces)


@contextmanager
def _query_slot(name: str) -> Iterator[bool]:
    """Yield whether fewer than MAX_QUERIES ask the host's guest agent at the moment.

    A query of a hung guest blocks one of libvirt's few workers. The caller just asks again later.
    """
    with _lock:
        is_free = _queries[name] < MAX_QUERIES
        _queries[name] += is_free
    try:
        yield is_free
    finally:
        with _lock:
            _queries[name] -= is_free
            if not _queries[name]:
                del _queries[name]


_CONDITIONS: dict[str, Callable[[Hypervisor, str, Installation | None], bool]] = {
    "running": _is_running,
    "stopped": _is_stopped,
    "installed": _is_installed,
    "address": _has_address,
}
