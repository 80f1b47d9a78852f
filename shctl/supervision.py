"""Bring installations to their end: start a host from its disk once its installer has stopped.

All that is known stands in the domain's metadata, so whoever comes next can go on: `shctl serve`,
`hosts wait`, `hosts show`, `hosts start`. The host's lock keeps them from doing it twice.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import replace

from shctl import domain, locks, metadata, power
from shctl.errors import NotFound, ShctlError
from shctl.hypervisor import Domain, Hypervisor
from shctl.install.boot import remove_boot_files
from shctl.metadata import FAILED, FINISHING, INSTALLED, INSTALLING, Installation, Metadata

_REASONS = {
    "crashed": "QEMU ended before the installer did; its log is /var/log/libvirt/qemu/{name}.log",
    "failed": "QEMU ended before the installer did; its log is /var/log/libvirt/qemu/{name}.log",
    "destroyed": "the host was powered off before the installer had ended",
}


def settle_open(hypervisor: Hypervisor) -> list[str]:
    """Settle every open installation; return the names of those that stay open.

    A host whose start fails stays open, and is tried again by whoever comes next.
    """
    still = []
    for host in hypervisor.domains():
        try:
            install = settle(hypervisor, host.name)
        except ShctlError:
            still.append(host.name)
        else:
            if install and install.open:
                still.append(host.name)
    return still


def phases(hypervisor: Hypervisor) -> Counter[str]:
    """Count the hosts that were or are being installed: installing, installed, failed."""
    found: Counter[str] = Counter()
    for host in hypervisor.domains():
        with suppress(NotFound):  # a host that went in the meantime
            if install := _stored(host):
                found[INSTALLING if install.open else install.phase] += 1
    return found


def settle(hypervisor: Hypervisor, name: str) -> Installation | None:
    """Bring a host's installation as far as it can come now, and return where it stands.

    Returns None for a host that was never installed; raises NotFound, or what a start raises.
    """
    install = _stored(hypervisor.domain(name))
    if install is None or not install.open:
        return install
    with locks.hold("host", name):
        host = hypervisor.domain(name)
        data = domain.read(host.xml(stored=True)).metadata
        if data is None or data.install is None or not data.install.open or not data.complete:
            return data.install if data else None
        return _advance(hypervisor, host, data, data.install)


def _stored(host: Domain) -> Installation | None:
    xml = host.xml(stored=True)
    # Parsing is what costs, and most hosts are not being installed.
    data = domain.read(xml).metadata if metadata.URI in xml else None
    return data.install if data else None


def _advance(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    if install.phase == FINISHING:
        return _start_installed(hypervisor, host, data, install)
    if host.active:
        return _judge_running(host, data, install)
    if host.ending == "shutdown":
        install = _record(host, data, install.move(FINISHING))
        return _start_installed(hypervisor, host, data, install)
    reason = _REASONS.get(host.ending, "it is not known how the installer ended ({ending})")
    return _fail(host, data, install, reason.format(name=host.name, ending=host.ending))


def _judge_running(host: Domain, data: Metadata, install: Installation) -> Installation:
    if not domain.read(host.xml()).installer:
        return _fail(
            host, data, install, "the host was started from its disk before its installer had ended"
        )
    if install.overdue:
        return _fail(
            host, data, install, f"deadline: the installer had not ended by {install.deadline}"
        )
    return install


def _start_installed(
    hypervisor: Hypervisor, host: Domain, data: Metadata, install: Installation
) -> Installation:
    # Active already: whoever began to finish was killed after the start.
    if not host.active:
        power.power_on(hypervisor, host)
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
