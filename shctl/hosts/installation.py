"""Advance installations: start a host from its disk once its installer has ended.

The state is kept in the domain's metadata, so any process can continue an installation: the server,
`hosts wait`, `hosts show` and `hosts start`. The host's lock makes sure that only one does at a
time. Phases: installing, finishing (the installer ended cleanly, the host is to be started from its
disk), installed; installing and finishing may also become failed.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from shctl.common import locks
from shctl.common.errors import NotFound, ShctlError
from shctl.common.states import Phase, Reason
from shctl.hosts import boot_check, power, qemulog, redefinition, stalls
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.install.boot_files import remove_boot_files
from shctl.xml import domain, metadata
from shctl.xml.metadata import DEADLINE, Installation, Metadata

_CRASH = "QEMU ended before the installer did; see its log {log}"
_REASONS: dict[str, str] = {
    Reason.CRASHED: _CRASH,
    Reason.FAILED: _CRASH,
    Reason.DESTROYED: "the host was powered off before the installer ended",
}
_UNKNOWN = "cannot determine how the installer ended; see QEMU's log {log}"
_SAVED = "saved"  # by virsh managedsave, or by libvirt-guests when the machine shuts down
_REDEFINED = "another program redefined the host during its installation"
_RESTARTED = (
    "another program redefined the host during its installation, and started its installer again"
)


def advance_all(
    hypervisor: Hypervisor, on_error: Callable[[str, Exception], None] = lambda *_: None
) -> list[str]:
    """Advance every pending installation; return the names of the hosts that are still pending.

    `on_error` is called with a host's name and its error; that host stays pending, to be tried
    again, and the others are still advanced.
    """
    pending = []
    for host in hypervisor.domains():
        name = host.name
        try:
            # Another process that holds the lock advances this host itself.
            install = advance(hypervisor, name, timeout=0)
        except locks.Busy:
            pending.append(name)
        except Exception as error:
            on_error(name, error)
            pending.append(name)
        else:
            if install and install.pending:
                pending.append(name)
    return pending


def count_phases(hypervisor: Hypervisor) -> Counter[str]:
    """Count the hosts that are installing, installed and failed."""
    counts: Counter[str] = Counter()
    for host in hypervisor.domains():
        with suppress(NotFound):  # deleted since it was listed
            if (data := _stored_metadata(host)) and (install := data.install):
                counts[Phase.INSTALLING if install.open else install.phase] += 1
    return counts


def advance(
    hypervisor: Hypervisor, name: str, *, timeout: float = locks.TIMEOUT
) -> Installation | None:
    """Advance a host's installation state machine as far as it can go now; return its state.

    Return None for a host that was never installed. `timeout` is how many seconds to wait for
    the host's lock; Busy after that. Raise NotFound, or what starting the host raises.
    """
    host = hypervisor.domain(name)
    data = find_metadata(host)
    if data is None or data.install is None or not _is_pending(data) or hypervisor.write_refusal():
        return data.install if data else None
    # Checked before locking: a mere reader must neither wait for the lock nor make others wait.
    if not _can_advance(host, data.install):
        return data.install
    with locks.hold("host", name, timeout=timeout):
        host = hypervisor.domain(name)
        data = find_metadata(host)
        if data is None or data.install is None or not _is_pending(data):
            return data.install if data else None
        return _advance_locked(hypervisor, host, data, data.install)


def _is_pending(data: Metadata) -> bool:
    """Return whether a host has an unfinished installation and is completely created."""
    return data.complete and data.install is not None and data.install.pending


def _stored_metadata(host: Domain) -> Metadata | None:
    xml = host.xml(stored=True)
    # Parsing is the expensive part, and most domains are not being installed.
    return domain.read(xml).metadata if metadata.URI in xml else None


def find_metadata(host: Domain) -> Metadata | None:
    """Return the host's metadata; if the stored ones are lost, those of the running installer."""
    data = _stored_metadata(host)
    if (data and data.complete) or not host.active or host.hung:
        return data
    xml = host.xml()
    running = domain.read(xml).metadata if metadata.URI in xml else None
    if running and running.complete and running.install and running.install.open:
        return running
    return data


def _can_advance(host: Domain, install: Installation) -> bool:
    if install.phase == Phase.FINISHING or not redefinition.runs_installer(host):
        return True
    overdue = install.open and install.overdue
    return overdue or _is_metadata_lost(host)


def _is_metadata_lost(host: Domain) -> bool:
    """Return whether another program undefined the host, or redefined it without its metadata."""
    stored = _stored_metadata(host) if host.persistent else None
    return stored is None or not stored.complete


def _advance_locked(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    if install.phase == Phase.FINISHING:
        return _start_installed(hypervisor, host, data, install)
    if redefinition.runs_installer(host):
        return _check_running(hypervisor, host, data, install)
    ending = _ending(host)
    if ending == _SAVED:  # so it has not ended, even past its deadline
        return install
    if ending == Reason.SHUTDOWN:
        return _check_ended(hypervisor, host, data, install)
    if install.late:
        return _record(host, data, replace(install, cause=None))
    reason = _REASONS.get(ending, _UNKNOWN)
    return _fail(host, data, install, reason.format(log=qemulog.path(host.name)))


def _ending(host: Domain) -> str:
    """Return how the installer's QEMU ended: shutdown, destroyed, crashed, ..., unknown.

    QEMU's log takes precedence: libvirt knows the last QEMU only, which may be a later start of
    the host, and forgets its ending when libvirtd restarts.
    """
    return qemulog.first_ending(host.name, host.uuid) or host.stop_reason


def _check_running(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    if _is_metadata_lost(host):
        # When the installer ends, the metadata and with them the list of the host's disks are gone.
        return _fail(host, data, install, redefinition.problem(host) or _REDEFINED)
    if install.late or not install.overdue:
        return install
    reason = f"deadline: the installer had not ended by {install.deadline}"
    if stall := stalls.find(hypervisor, host):
        reason += f"; the host {stall.why}; {stall.remedy}"
    return _fail(host, data, install, reason, DEADLINE)


def _check_ended(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    """Check what a cleanly ended installer left; a clean end alone does not mean success."""
    if problem := redefinition.problem(host):
        return _fail(host, data, install, problem)
    result = boot_check.check(hypervisor, host.xml(stored=True))
    if result.problem:
        return _fail(host, data, install, result.problem)
    install = replace(install.move(Phase.FINISHING), unchecked=result.unchecked)
    return _start_installed(hypervisor, host, data, _record(host, data, install))


def _start_installed(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    if problem := redefinition.problem(host):
        return _fail(host, data, install, problem)
    try:
        # The host may already be on, or paused: an earlier process may have been killed here.
        power.ensure_on(hypervisor, host)
    except ShctlError as error:
        reason = f"the installer has ended, but the host does not start: {error}"
        _record(host, data, replace(install, reason=reason))
        raise
    if redefinition.runs_installer(host):
        return _fail(host, data, install, _RESTARTED)
    return _close(host, data, install.move(Phase.INSTALLED, _unchecked_note(install)))


def _unchecked_note(install: Installation) -> str | None:
    if install.unchecked is None:
        return None
    return f"whether the installer wrote to a disk could not be checked: {install.unchecked}"


def _fail(
    host: Domain, data: Metadata, install: Installation, reason: str, cause: str | None = None
) -> Installation:
    """Record the failure; the host keeps its state, so that it can be examined."""
    return _close(host, data, install.move(Phase.FAILED, reason, cause))


def _record(host: Domain, data: Metadata, install: Installation) -> Installation:
    element = metadata.text(replace(data, install=install))
    host.set_metadata(element, metadata.URI, metadata.KEY)
    return install


def _close(host: Domain, data: Metadata, install: Installation) -> Installation:
    _record(host, data, install)
    remove_boot_files(host.name)
    return install
