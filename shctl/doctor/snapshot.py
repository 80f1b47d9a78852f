"""What the checks share: how they look at hosts, and how they judge while others are at work.

While shctl is at work on a host, much looks like a leftover. So whatever belongs to a host is
judged, and put right, with the host's lock held.
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
class Seen:
    """The domains at one moment, with our metadata where there is some."""

    hosts: tuple[tuple[Domain, domain.DomainInfo], ...]

    @property
    def ours(self) -> Iterator[tuple[Domain, domain.DomainInfo, Metadata]]:
        """Return the domains that shctl made or took over."""
        for host, info in self.hosts:
            if info.metadata:
                yield host, info, info.metadata

    @property
    def names(self) -> set[str]:
        """Return the names of all domains."""
        return {host.name for host, _ in self.hosts}

    @property
    def logged(self) -> set[str]:
        """Return what consoles' logs are called by, which a host that was renamed is not."""
        return {Path(info.console).stem for _, info in self.hosts if info.console}

    @property
    def volumes(self) -> set[str]:
        """Return the names of the volumes that our hosts list."""
        return {volume.name for _, _, data in self.ours for volume in data.volumes}

    @property
    def installing(self) -> set[str]:
        """Return the names of the hosts with an open installation."""
        return {host.name for host, _, data in self.ours if data.install and data.install.open}


def look(hypervisor: Hypervisor) -> Seen:
    """Look at all domains as they are now."""
    seen = []
    for host in hypervisor.domains():
        with suppress(NotFound):  # gone in the meantime
            seen.append((host, read(host)))
    return Seen(tuple(seen))


def read(host: Domain) -> domain.DomainInfo:
    """Read a domain as it is stored, a transient one as it runs."""
    return domain.read(host.xml(stored=host.persistent))


def is_so(host: str, still: Callable[[], bool]) -> bool:
    """Tell whether something holds about a host while nobody is at work on it.

    What cannot be seen is no answer: that is raised.
    """
    with suppress(locks.Busy, NotFound), locks.hold("host", host, timeout=0):
        return still()
    return False


def put_right(host: str, still: Callable[[], bool], mend: Fix) -> None:
    """Mend something about a host, unless somebody has done so in the meantime."""
    with locks.hold("host", host):
        if still():
            mend()
