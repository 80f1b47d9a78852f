"""Wait until a host is running, stopped or installed, or has an IP address."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from shctl.common import defaults, locks
from shctl.common.errors import (
    Conflict,
    InstallFailed,
    Several,
    ShctlError,
    TimedOut,
    Unreachable,
)
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
    with hypervisor.watching() as changed:
        is_met = power.wait_until(_checker(hypervisor, name, condition), timeout, changed=changed)
    if not is_met:
        host = hypervisor.domain(name)
        lacks = "has no address" if condition == "address" else f"is not {condition}"
        state, reason = host.state_and_reason
        now = f"{state} ({reason})" if reason else state
        raise TimedOut(f"host {name!r} {lacks} after {timeout:g} s; it is {now}")
    return details.show(hypervisor, name)


def wait_for_any(
    hypervisor: Hypervisor, names: Iterable[str], condition: str, timeout: float
) -> HostDetail:
    """Wait for the first host that meets a condition, and return it.

    Raise TimedOut, and Several or the error itself once no host can meet it any more.
    """
    checks = {name: _checker(hypervisor, name, condition) for name in names}
    failures: list[ShctlError] = []
    found: list[str] = []

    def is_met() -> bool:
        for name, check in list(checks.items()):
            try:
                if check():
                    found.append(name)
                    return True
            except ShctlError as error:
                failures.append(error)
                del checks[name]
        if not checks:
            raise failures[0] if len(failures) == 1 else Several(failures, [])
        return False

    with hypervisor.watching() as changed:
        is_any_met = power.wait_until(is_met, timeout, changed=changed)
    if not is_any_met:
        lacks = "has an address" if condition == "address" else f"is {condition}"
        raise TimedOut(f"none of the hosts {', '.join(checks)} {lacks} after {timeout:g} s")
    return details.show(hypervisor, found[0])


def _checker(hypervisor: Hypervisor, name: str, condition: str) -> Callable[[], bool]:
    """Return a function that advances a host and returns whether the condition is met."""

    def is_met() -> bool:
        try:
            install = installation.advance(hypervisor, name, timeout=0)
        except locks.Busy:  # another process works on the host
            return False
        if _CONDITIONS[condition](hypervisor, name, install):
            return True
        _check_writable(hypervisor, name)
        return False

    return _tolerating_restarts(is_met)


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
