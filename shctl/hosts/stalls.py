"""Why a guest stands still although its QEMU is there, and what gets it going again."""

from contextlib import suppress
from dataclasses import dataclass

from shctl.common.errors import Conflict, NoSpace, NotFound, ShctlError, TimedOut
from shctl.common.timeout import within
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.states import IO_ERROR
from shctl.xml import domain

_PATIENCE = 5.0  # seconds that QEMU may take to say which of its disks failed
# Something is at work on the host, and lets it run when it is through.
_PASSING = ("migrating", "saving", "dumping", "creating snapshot", "starting up", "shutting down")
_WRONG = (IO_ERROR, "watchdog", "crashed", "post-copy failed", "API error", "panicked")


@dataclass(frozen=True)
class Stall:
    """A guest that stands still; `kind` is the error that this is to whoever needs it running.

    `wrong` says that nobody can have wanted it.
    """

    why: str
    remedy: str
    kind: type[ShctlError] = Conflict
    wrong: bool = False

    def error(self, host: str) -> ShctlError:
        """Return it as the error that names the host."""
        return self.kind(f"host {host!r} {self.why}; {self.remedy}")


def is_stuck(host: Domain) -> bool:
    """Tell whether a host is paused since it could not write to, or read from, a disk."""
    return host.condition == ("paused", IO_ERROR)


def find(hypervisor: Hypervisor, host: Domain) -> Stall | None:
    """Return why a host's guest stands still; None where it runs, or where there is no QEMU."""
    state, reason = host.condition
    start = f"'shctl hosts start {host.name}'"
    off = f"'shctl hosts stop {host.name} --force' powers it off"
    wrong, words = reason in _WRONG, reason or "reason unknown"
    if (state, reason) == ("paused", IO_ERROR):
        return _failed_disk(hypervisor, host, start)
    if state == "pmsuspended":
        return Stall("sleeps (pmsuspended)", f"{start} wakes it, {off}")
    # A host whose QEMU has crashed is called so too.
    if (state == "crashed" and host.active) or (state, reason) == ("paused", "crashed"):
        return Stall(f"stands still: its guest has crashed ({words})", off, wrong=wrong)
    if state == "paused":
        passing = reason in _PASSING
        remedy = "wait until what is at work on it is through" if passing else f"{start} resumes it"
        return Stall(f"is paused ({words})", remedy, wrong=wrong)
    return None


def _failed_disk(hypervisor: Hypervisor, host: Domain, start: str) -> Stall:
    errors = _disk_errors(host)
    full = [disk for disk, lacks_space in errors.items() if lacks_space]
    named = ", ".join(_names(hypervisor, host, full or list(errors))) or "a disk"
    # What QEMU pauses for by itself is a lack of space; other errors it passes on to the guest.
    if full or not errors:
        why = f"is paused by an I/O error: no space left for {named}"
        return Stall(why, f"make space there, then {start} lets it go on", NoSpace, wrong=True)
    why = f"is paused by an I/O error of {named}"
    return Stall(why, f"put its storage right, then {start} lets it go on", wrong=True)


def _disk_errors(host: Domain) -> dict[str, bool]:
    late = TimedOut(f"QEMU of host {host.name!r} does not answer")
    with suppress(ShctlError):
        return within(_PATIENCE, host.disk_errors, late)
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
