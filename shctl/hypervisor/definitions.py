"""Read the XML of all domains, once for a command that needs it for several hosts."""

import time
from contextlib import suppress
from dataclasses import dataclass

from shctl.common.errors import NotFound
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain

# Seconds for each domain. Other programs take no lock before they redefine one, so a check of what
# all use is always as old as reading them takes: about 1 s for 1,000. No definition gets older.
AGE_PER_DOMAIN = 0.001

_Flags = tuple[bool, bool, bool]


@dataclass(frozen=True)
class Definition:
    """A domain's XML: running and stored, as `virsh managedsave` saved it, and of its snapshots.

    A `hung` domain has none: libvirt 11 waits half a minute for its QEMU whenever it is read.
    """

    host: Domain
    texts: tuple[str, ...] = ()
    saved: str | None = None
    snapshots: tuple[str, ...] = ()
    hung: bool = False


@dataclass(frozen=True)
class _Entry:
    definition: Definition
    flags: _Flags
    read_at: float  # seconds, of the monotonic clock


class Definitions:
    """The definitions of all domains, each read again if it changed state or is too old.

    New domains are found, and deleted ones left out, at each call of all().
    """

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self._entries: dict[str, _Entry] = {}

    def forget(self, uuid: str) -> None:
        """Read a domain again at the next call of all()."""
        self._entries.pop(uuid, None)

    def all(self) -> list[Definition]:
        """Return the definitions of the domains that exist now.

        Takes four calls for the list, and at most two for each domain whose state is unchanged.
        """
        active = self._hypervisor.active_uuids()
        saved = self._hypervisor.saved_uuids()
        snapshots = self._hypervisor.snapshot_uuids()
        # Last, so that the list is the newest of the four.
        domains = self._hypervisor.domains()
        found, max_age = [], AGE_PER_DOMAIN * len(domains)
        for host in domains:
            flags = (host.uuid in active, host.uuid in saved, host.uuid in snapshots)
            with suppress(NotFound):  # deleted meanwhile
                found.append(self._definition(host, flags, max_age))
        return found

    def _definition(self, host: Domain, flags: _Flags, max_age: float) -> Definition:
        entry = self._entries.get(host.uuid)
        now = time.monotonic()
        if entry is None or entry.flags != flags or now - entry.read_at > max_age:
            entry = self._entries[host.uuid] = _Entry(_read(host, flags), flags, now)
        return entry.definition


def _read(host: Domain, flags: _Flags) -> Definition:
    active, saved, snapshots = flags
    if active and host.hung:
        return Definition(host, hung=True)
    # A domain that is off has one definition, in which libvirt resolves nothing.
    texts = {host.xml(stored=True)} | ({host.xml()} if active else set())
    return Definition(
        host,
        tuple(texts),
        host.saved_xml() if saved else None,
        tuple(host.snapshots()) if snapshots else (),
    )
