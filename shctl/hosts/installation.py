"""Bring installations to their end: start a host from its disk once its installer has stopped.

All that is known stands in the domain's metadata, so whoever comes next can go on: `shctl serve`,
`hosts wait`, `hosts show`, `hosts start`. The host's lock keeps them from doing it twice.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from shctl.common import locks
from shctl.common.errors import NotFound, ShctlError
from shctl.hosts import boot_check, power, qemulog, redefinition, stalls
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.handles import Domain
from shctl.install.boot_files import remove_boot_files
from shctl.xml import domain, metadata
from shctl.xml.metadata import (
    DEADLINE,
    FAILED,
    FINISHING,
    INSTALLED,
    INSTALLING,
    Installation,
    Metadata,
)

_CRASH = "QEMU ended before the installer did; its log is {log}"
_REASONS = {
    "crashed": _CRASH,
    "failed": _CRASH,
    "destroyed": "the host was powered off before the installer had ended",
}
_SAVED = "saved"  # by virsh managedsave, or libvirt-guests when the machine is shut down
_LOST = "another program redefined the host during its installation"
_AGAIN = (
    "another program redefined the host during its installation, and started its installer again"
)


def settle_open(
    hypervisor: Hypervisor, failed: Callable[[str, Exception], None] = lambda *_: None
) -> list[str]:
    """Settle every open installation; return the names of those that may still come further.

    A host whose start fails stays open, and is tried again by whoever comes next. `failed` is
    called with its name and the error; no error of one host keeps the others waiting.
    """
    still = []
    for host in hypervisor.domains():
        name = host.name
        try:
            # Whoever is at work on it goes on with it, and others need not wait for that.
            install = settle(hypervisor, name, patience=0)
        except locks.Busy:
            still.append(name)
        except Exception as error:
            failed(name, error)
            still.append(name)
        else:
            if install and install.pending:
                still.append(name)
    return still


def phases(hypervisor: Hypervisor) -> Counter[str]:
    """Count the hosts that were or are being installed: installing, installed, failed."""
    found: Counter[str] = Counter()
    for host in hypervisor.domains():
        with suppress(NotFound):  # a host that went in the meantime
            if (data := _stored(host)) and (install := data.install):
                found[INSTALLING if install.open else install.phase] += 1
    return found


def settle(
    hypervisor: Hypervisor, name: str, *, patience: float = locks.PATIENCE
) -> Installation | None:
    """Bring a host's installation as far as it can come now, and return where it stands.

    Returns None for a host that was never installed; raises NotFound, or what a start raises.
    `patience` is for others who are at work on the host, in seconds; Busy when that is over.
    """
    host = hypervisor.domain(name)
    data = known(host)
    if data is None or data.install is None or not _is_pending(data) or hypervisor.hindrance():
        return data.install if data else None
    # Who only looks must not wait for a lock, nor make others wait.
    if not _may_come_further(host, data.install):
        return data.install
    with locks.hold("host", name, patience=patience):
        host = hypervisor.domain(name)
        data = known(host)
        if data is None or data.install is None or not _is_pending(data):
            return data.install if data else None
        return _advance(hypervisor, host, data, data.install)


def _is_pending(data: Metadata) -> bool:
    """Tell whether a host has an installation to go on with: one that is being created has not."""
    return data.complete and data.install is not None and data.install.pending


def _stored(host: Domain) -> Metadata | None:
    xml = host.xml(stored=True)
    # Parsing is what costs, and most hosts are not being installed.
    return domain.read(xml).metadata if metadata.URI in xml else None


def known(host: Domain) -> Metadata | None:
    """Return the host's metadata, from the installer that runs where what is stored has lost it."""
    data = _stored(host)
    if (data and data.complete) or not host.active or host.hung:
        return data
    xml = host.xml()
    running = domain.read(xml).metadata if metadata.URI in xml else None
    if running and running.complete and running.install and running.install.open:
        return running
    return data


def _may_come_further(host: Domain, install: Installation) -> bool:
    if install.phase == FINISHING or not redefinition.runs_installer(host):
        return True
    overdue = install.open and install.overdue
    return overdue or _is_lost(host)


def _is_lost(host: Domain) -> bool:
    """Tell whether another program undefined the host, or stored it without what is known of it."""
    stored = _stored(host) if host.persistent else None
    return stored is None or not stored.complete


def _advance(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    if install.phase == FINISHING:
        return _start_installed(hypervisor, host, data, install)
    if redefinition.runs_installer(host):
        return _judge_running(hypervisor, host, data, install)
    ending = _ending(host)
    if ending == _SAVED:  # and not ended, however late it is
        return install
    if ending == "shutdown":
        return _judge_ended(hypervisor, host, data, install)
    if install.late:
        return _record(host, data, replace(install, cause=None))
    reason = _REASONS.get(ending, "it is not known how the installer ended; QEMU's log is {log}")
    return _fail(host, data, install, reason.format(log=qemulog.path(host.name)))


def _ending(host: Domain) -> str:
    """Return how the installer's QEMU ended: shutdown, destroyed, crashed, ..., unknown.

    The log comes first: libvirt forgets when it restarts, and knows of the last QEMU alone, while
    somebody may have started the host since.
    """
    return qemulog.first_ending(host.name, host.uuid) or host.ending


def _judge_running(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    if _is_lost(host):
        # It would be lost when the installer ends, and with it what belongs to the host.
        return _fail(host, data, install, redefinition.problem(host) or _LOST)
    if install.late or not install.overdue:
        return install
    reason = f"deadline: the installer had not ended by {install.deadline}"
    if stall := stalls.find(hypervisor, host):
        reason += f"; the host {stall.why}; {stall.remedy}"
    return _fail(host, data, install, reason, DEADLINE)


def _judge_ended(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    """Go on from a clean end of the installer: that alone is no success."""
    if problem := redefinition.problem(host):
        return _fail(host, data, install, problem)
    verdict = boot_check.judge(hypervisor, host.xml(stored=True))
    if verdict.fault:
        return _fail(host, data, install, verdict.fault)
    install = replace(install.move(FINISHING), unchecked=verdict.unseen)
    return _start_installed(hypervisor, host, data, _record(host, data, install))


def _start_installed(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    if problem := redefinition.problem(host):
        return _fail(host, data, install, problem)
    try:
        # Whoever began to finish may have been killed after the start, or in the middle of it.
        power.ensure_on(hypervisor, host)
    except ShctlError as error:
        reason = f"the installer has ended, but the host does not start: {error}"
        _record(host, data, replace(install, reason=reason))
        raise
    if redefinition.runs_installer(host):
        return _fail(host, data, install, _AGAIN)
    return _close(host, data, install.move(INSTALLED, _remark(install)))


def _remark(install: Installation) -> str | None:
    if install.unchecked is None:
        return None
    return f"whether the installer wrote to a disk could not be checked: {install.unchecked}"


def _fail(
    host: Domain, data: Metadata, install: Installation, reason: str, cause: str | None = None
) -> Installation:
    """Record the failure and leave the host as it is, for a look."""
    return _close(host, data, install.move(FAILED, reason, cause))


def _record(host: Domain, data: Metadata, install: Installation) -> Installation:
    element = metadata.text(replace(data, install=install))
    host.set_metadata(element, metadata.URI, metadata.KEY)
    return install


def _close(host: Domain, data: Metadata, install: Installation) -> Installation:
    _record(host, data, install)
    remove_boot_files(host.name)
    return install
