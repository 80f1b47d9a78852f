"""Bring installations to their end: start a host from its disk once its installer has stopped.

All that is known stands in the domain's metadata, so whoever comes next can go on: `shctl serve`,
`hosts wait`, `hosts show`, `hosts start`. The host's lock keeps them from doing it twice.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from shctl import domain, locks, metadata
from shctl.errors import NotFound, ShctlError
from shctl.handles import Domain
from shctl.hosts import power, qemulog
from shctl.hypervisor import Hypervisor
from shctl.install.boot import remove_boot_files
from shctl.metadata import FAILED, FINISHING, INSTALLED, INSTALLING, Installation, Metadata

_CRASH = "QEMU ended before the installer did; its log is {log}"
_REASONS = {
    "crashed": _CRASH,
    "failed": _CRASH,
    "destroyed": "the host was powered off before the installer had ended",
}


def settle_open(
    hypervisor: Hypervisor, failed: Callable[[str, Exception], None] = lambda *_: None
) -> list[str]:
    """Settle every open installation; return the names of those that stay open.

    A host whose start fails stays open, and is tried again by whoever comes next. `failed` is
    called with its name and the error; no error of one host keeps the others waiting.
    """
    still = []
    for host in hypervisor.domains():
        name = host.name
        try:
            install = settle(hypervisor, name)
        except locks.Busy:  # whoever is at work on it goes on with it
            still.append(name)
        except Exception as error:
            failed(name, error)
            still.append(name)
        else:
            if install and install.open:
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
    data = _stored(host)
    if data is None or data.install is None or not data.install.open or hypervisor.hindrance():
        return data.install if data else None
    # Who only looks must not wait for a lock, nor make others wait.
    if data.install.phase == INSTALLING and _is_under_way(host) and not data.install.overdue:
        return data.install
    with locks.hold("host", name, patience=patience):
        host = hypervisor.domain(name)
        data = _stored(host)
        if data is None or data.install is None or not data.install.open or not data.complete:
            return data.install if data else None
        return _advance(hypervisor, host, data, data.install)


def _stored(host: Domain) -> Metadata | None:
    xml = host.xml(stored=True)
    # Parsing is what costs, and most hosts are not being installed.
    return domain.read(xml).metadata if metadata.URI in xml else None


def _is_under_way(host: Domain) -> bool:
    return host.active and domain.read(host.xml()).installer


def _advance(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    if install.phase == FINISHING:
        return _start_installed(hypervisor, host, data, install)
    if _is_under_way(host):
        return _judge_running(host, data, install)
    ending = _ending(host)
    if ending == "shutdown":
        install = _record(host, data, install.move(FINISHING))
        return _start_installed(hypervisor, host, data, install)
    reason = _REASONS.get(ending, "it is not known how the installer ended; QEMU's log is {log}")
    return _fail(host, data, install, reason.format(log=qemulog.path(host.name)))


def _ending(host: Domain) -> str:
    """Return how the installer's QEMU ended: shutdown, destroyed, crashed, ..., unknown.

    The log comes first: libvirt forgets when it restarts, and knows of the last QEMU alone, while
    somebody may have started the host since.
    """
    return qemulog.first_ending(host.name, host.uuid) or host.ending


def _judge_running(host: Domain, data: Metadata, install: Installation) -> Installation:
    if not install.overdue:
        return install
    reason = f"deadline: the installer had not ended by {install.deadline}"
    return _fail(host, data, install, reason)


def _start_installed(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    try:
        # Whoever began to finish may have been killed after the start, or in the middle of it.
        power.ensure_on(hypervisor, host)
    except ShctlError as error:
        reason = f"the installer has ended, but the host does not start: {error}"
        _record(host, data, replace(install, reason=reason))
        raise
    return _close(host, data, install.move(INSTALLED))


def _fail(host: Domain, data: Metadata, install: Installation, reason: str) -> Installation:
    """Record the failure and leave the host as it is, for a look."""
    return _close(host, data, install.move(FAILED, reason))


def _record(host: Domain, data: Metadata, install: Installation) -> Installation:
    element = metadata.text(replace(data, install=install))
    host.set_metadata(element, metadata.URI, metadata.KEY)
    return install


def _close(host: Domain, data: Metadata, install: Installation) -> Installation:
    _record(host, data, install)
    remove_boot_files(host.name)
    return install
