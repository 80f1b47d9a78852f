"""A snapshot of all domains, and checks and fixes under a host's lock.

A host that another shctl process is creating or deleting looks like a leftover. So everything
that belongs to a host is checked again, and fixed, while holding the host's lock.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shctl.common import locks
from shctl.common.errors import NotFound
from shctl.common.model import Finding
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.xml import domain
from shctl.xml.metadata import Metadata

Fix = Callable[[], object]
Found = Iterator[tuple[Finding, Fix | None]]


@dataclass(frozen=True)
class Snapshot:
    """All domains at one moment, with the information from their XML."""

    hosts: tuple[tuple[Domain, domain.DomainInfo], ...]

    @property
    def managed(self) -> Iterator[tuple[Domain, domain.DomainInfo, Metadata]]:
        """Yield the domains that shctl created or adopted, with their metadata."""
        for host, info in self.hosts:
            if info.metadata:
                yield host, info, info.metadata

    @property
    def names(self) -> set[str]:
        """Return the names of all domains."""
        return {host.name for host, _ in self.hosts}

    @property
    def logged(self) -> set[str]:
        """Return the names in the paths of console logs; a renamed host keeps its old log."""
        return {Path(info.console).stem for _, info in self.hosts if info.console}

    @property
    def volumes(self) -> set[str]:
        """Return the names of the volumes listed in the metadata of managed hosts."""
        return {volume.name for _, _, data in self.managed for volume in data.volumes}

    @property
    def installing(self) -> set[str]:
        """Return the names of the hosts with an open installation."""
        return {host.name for host, _, data in self.managed if data.install and data.install.open}


def take_snapshot(hypervisor: Hypervisor) -> Snapshot:
    """Return all domains as they are now."""
    found = []
    for host in hypervisor.domains():
        with suppress(NotFound):  # deleted since they were listed
            found.append((host, read_info(host)))
    return Snapshot(tuple(found))


def read_info(host: Domain) -> domain.DomainInfo:
    """Return the information in a domain's stored XML, or in a transient domain's live XML."""
    return domain.read(host.xml(stored=host.persistent))


def recheck_locked(host: str, condition: Callable[[], bool]) -> bool:
    """Return whether a condition holds while holding a host's lock; False if the host is busy.

    Errors of the condition are raised, since a failed check is not a "no".
    """
    # No waiting: a locked host is in use, so its state is not a leftover.
    with suppress(locks.Busy, NotFound), locks.hold("host", host, timeout=0):
        return condition()
    return False


def fix_locked(host: str, condition: Callable[[], bool], fix: Fix) -> None:
    """Apply a fix to a host under its lock, if the condition still holds."""
    with locks.hold("host", host):
        if condition():
            fix()
