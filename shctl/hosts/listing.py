"""List hosts: filter, sort, and read no more than the columns need."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from fnmatch import translate
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from shctl.common.names import is_file_name
from shctl.common.rows import HostRow, Install
from shctl.common.states import DomainState
from shctl.common.text import natural
from shctl.networks.listing import network_tags

if TYPE_CHECKING:
    from shctl.hypervisor.connection import Hypervisor

TABLE = ("name", "state", "install", "memory", "cpus", "vlans", "addresses", "age")
SHORT = ("id", "name", "state")
# Memory and processors too: libvirt's bulk call asks QEMU for them, which may hang.
_FROM_XML = {
    "install", "memory", "cpus", "vlans", "networks", "addresses", "created", "age", "managed",
}  # fmt: skip
_RUNS = {state for state in DomainState if state not in (DomainState.SHUT_OFF, DomainState.CRASHED)}


class Filter:
    """Which hosts to list; empty values match all.

    A pattern is a shell pattern, `install` a state of an installation, or "none".
    """

    def __init__(
        self,
        patterns: Iterable[str] = (),
        states: Collection[str] = (),
        network: str | None = None,
        vlan: int | None = None,
        install: str | None = None,
    ) -> None:
        self._patterns = [re.compile(translate(pattern)) for pattern in patterns]
        self._states = states
        self._network, self._vlan, self._install = network, vlan, install

    @property
    def needs(self) -> set[str]:
        """Return the columns that it needs, without name and state."""
        given = {"networks": self._network, "vlans": self._vlan, "install": self._install}
        return {name for name, value in given.items() if value is not None}

    def __bool__(self) -> bool:
        """Return whether some hosts may not match."""
        return bool(self._patterns or self._states or self.needs)

    def has_state(self, name: str, state: str) -> bool:
        """Return whether name and state match."""
        return (not self._states or state in self._states) and (
            not self._patterns or any(pattern.match(name) for pattern in self._patterns)
        )

    def has_rest(self, row: HostRow) -> bool:
        """Return whether everything else matches."""
        return (
            (self._network is None or self._network in row.networks)
            and (self._vlan is None or self._vlan in row.vlans)
            and (self._install is None or self._install == str(row.install or "none"))
        )


def list_hosts(
    hypervisor: Hypervisor, wanted: Filter, columns: tuple[str, ...], sort: str = "name"
) -> list[HostRow]:
    """Return the hosts that match, sorted; a sort key with a minus sign reverses the order."""
    key = sort.removeprefix("-")
    needed = {*columns, *wanted.needs, key}
    found: list[Any] = _rows(hypervisor, wanted, needed)
    if columns == SHORT and sort == "name" and not wanted.needs:
        return found  # as libvirt's bulk call is sorted, for programs that ask often
    return _select(_sorted(found, key, descending=sort.startswith("-")), columns)


def _select(found: list[Any], columns: tuple[str, ...]) -> list[HostRow]:
    """Return rows that show these columns."""
    for index, row in enumerate(found):
        if not isinstance(row, HostRow):
            found[index] = HostRow(row.id, row.name, row.state)
        found[index].shown = columns
    return found


def _sorted(found: list[Any], key: str, *, descending: bool) -> list[Any]:
    """Return the rows by a column, then by name; those without a value come last."""
    found.sort(key=lambda row: natural(row.name), reverse=descending and key == "name")
    if key == "name":
        return found
    known = [row for row in found if getattr(row, key) not in (None, ())]
    unknown = [row for row in found if getattr(row, key) in (None, ())]
    known.sort(key=lambda row: _sortable(getattr(row, key)), reverse=descending)
    return known + unknown


def _sortable(value: Any) -> Any:
    return value.phase if isinstance(value, Install) else value


def _rows(hypervisor: Hypervisor, wanted: Filter, needed: set[str]) -> list[Any]:
    if not needed - set(SHORT):
        return [host for host in hypervisor.hosts() if wanted.has_state(host.name, host.state)]
    rows = [
        HostRow(host.id, host.name, host.state)
        for host in hypervisor.hosts()
        if wanted.has_state(host.name, host.state)
    ]
    if "autostart" in needed:
        started = hypervisor.autostart_uuids()
        for row in rows:
            row.autostart = row.id in started
    if needed & _FROM_XML:
        rows = _with_xml(hypervisor, rows, needed)
    return [row for row in rows if wanted.has_rest(row)]


def _with_xml(hypervisor: Hypervisor, rows: list[HostRow], needed: set[str]) -> list[HostRow]:
    """Fill what is in the hosts' XML; hosts that were deleted meanwhile are left out."""
    from shctl.hypervisor import stored_xml
    from shctl.xml.summary import Summary

    active = {row.id for row in rows if row.state in _RUNS}
    texts = stored_xml.read(hypervisor, {row.id: row.name for row in rows}, active)
    fill = _filler(hypervisor, needed)
    found = [row for row in rows if row.id in texts]
    for row in found:
        fill(row, Summary(texts[row.id]))
    return found


def _filler(hypervisor: Hypervisor, needed: set[str]) -> Callable[[HostRow, Any], None]:
    """Return a function that fills a row from its summary."""
    tags = cache(partial(network_tags, hypervisor))
    addresses = _addresses() if "addresses" in needed else {}
    age = _clock() if "age" in needed else None

    def fill(row: HostRow, summary: Any) -> None:
        row.memory, row.cpus = summary.memory, summary.cpus
        row.managed, row.created = summary.managed, summary.created
        # As shctl.xml.metadata reads it.
        row.install = summary.install if is_file_name(row.name) else None
        if summary.created and age:
            row.age = age(summary.created)
        row.networks = tuple(network for network, _, _ in summary.interfaces if network)
        if "vlans" in needed:
            found = [
                own if own != (None, ()) else tags(network, group)
                for network, group, own in summary.interfaces
            ]
            carried = (tag for vlan, trunk in found for tag in (vlan, *trunk) if tag is not None)
            row.vlans = tuple(dict.fromkeys(carried))
        if addresses and row.state in _RUNS:
            seen = (addresses.get(mac, ()) for mac in summary.macs)
            row.addresses = tuple(address for several in seen for address in several)

    return fill


def _clock() -> Callable[[str], int | None]:
    """Return a function that returns the seconds since a time, None for one that does not exist."""
    from datetime import datetime
    from time import time

    now = time()

    def age(stamp: str) -> int | None:
        try:
            created = datetime.fromisoformat(stamp).timestamp()
        except ValueError:  # other programs can write metadata with a month 13
            return None
        return max(int(now - created), 0)  # a time in the future is the clock's fault

    return age


def _addresses() -> dict[str, tuple[str, ...]]:
    """Return IP addresses by MAC address, without asking guests."""
    from shctl.hypervisor import arp

    return arp.addresses()
