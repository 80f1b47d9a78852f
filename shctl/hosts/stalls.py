"""Find out why a guest does not run although its QEMU does, and how to resume it."""

from contextlib import suppress
from dataclasses import dataclass

from shctl.common.errors import Conflict, NoSpace, NotFound, ShctlError, TimedOut
from shctl.common.states import DomainState, Reason
from shctl.common.timeout import run_with_timeout
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.xml import domain

_TIMEOUT = 5.0  # seconds for QEMU to report which of its disks failed
# Another program works on the host, and resumes it when it is done.
_TEMPORARY = ("migrating", "saving", "dumping", "creating snapshot", "starting up", "shutting down")
_FAULTS = (
    Reason.IO_ERROR, Reason.WATCHDOG, Reason.CRASHED, Reason.POST_COPY_FAILED, Reason.API_ERROR,
    Reason.PANICKED,
)  # fmt: skip


@dataclass(frozen=True)
class Stall:
    """A guest that does not run; `error_class` is raised if it has to.

    `is_fault` distinguishes faults from what a user may have done on purpose.
    """

    why: str
    remedy: str
    error_class: type[ShctlError] = Conflict
    is_fault: bool = False

    def error(self, host: str) -> ShctlError:
        """Return the error, with the host's name."""
        return self.error_class(f"host {host!r} {self.why}; {self.remedy}")


def is_stuck(host: Domain) -> bool:
    """Return whether a host is paused because a read or write of a disk failed."""
    return host.state_and_reason == (DomainState.PAUSED, Reason.IO_ERROR)


def find(hypervisor: Hypervisor, host: Domain) -> Stall | None:
    """Return why a host's guest does not run; None if it runs, or without QEMU."""
    state, reason = host.state_and_reason
    if (state, reason) == (DomainState.PAUSED, Reason.IO_ERROR):
        return _failed_disk(hypervisor, host)
    # libvirt also reports "crashed" for a host whose QEMU has crashed.
    if state == DomainState.CRASHED and not host.active:
        return None
    return explain(host.name, state, reason)


def explain(name: str, state: str, reason: str | None) -> Stall | None:
    """Return why the guest of a host with QEMU does not run, by its state; None if it runs."""
    start = _start(name)
    off = f"'shctl hosts stop {name} --force' powers it off"
    cause = reason or "reason unknown"
    is_fault = reason in _FAULTS
    if state == DomainState.PMSUSPENDED:
        return Stall("is asleep (pmsuspended)", f"{start} wakes it, {off}")
    if state == DomainState.CRASHED or (state, reason) == (DomainState.PAUSED, Reason.CRASHED):
        return Stall(f"is not running: its guest has crashed ({cause})", off, is_fault=is_fault)
    if state != DomainState.PAUSED:
        return None
    if reason in _TEMPORARY:
        return Stall(f"is paused ({cause})", "wait until that operation ends")
    return Stall(f"is paused ({cause})", f"{start} resumes it", is_fault=is_fault)


def _start(name: str) -> str:
    return f"'shctl hosts start {name}'"


def _failed_disk(hypervisor: Hypervisor, host: Domain) -> Stall:
    start = _start(host.name)
    errors = _disk_errors(host)
    full = [disk for disk, lacks_space in errors.items() if lacks_space]
    named = ", ".join(_names(hypervisor, host, full or list(errors))) or "a disk"
    # By default QEMU pauses for lack of space only; it reports other errors to the guest.
    if full or not errors:
        why = f"is paused by an I/O error: no space left for {named}"
        return Stall(why, f"free some space, then {start} resumes it", NoSpace, is_fault=True)
    why = f"is paused by an I/O error of {named}"
    return Stall(why, f"fix its storage, then {start} resumes it", is_fault=True)


def _disk_errors(host: Domain) -> dict[str, bool]:
    error = TimedOut(f"QEMU of host {host.name!r} does not answer")
    with suppress(ShctlError):
        return run_with_timeout(_TIMEOUT, host.disk_errors, error)
    return {}


def _names(hypervisor: Hypervisor, host: Domain, targets: list[str]) -> list[str]:
    paths = {row.target: row.path for row in domain.read(host.xml()).disks}
    return [_name(hypervisor, target, paths.get(target)) for target in targets]


def _name(hypervisor: Hypervisor, target: str, path: str | None) -> str:
    if path is None:
        return f"disk {target}"
    with suppress(NotFound):
        return f"disk {target} ({path} in pool {hypervisor.volume_at(path).pool!r})"
    return f"disk {target} ({path})"
