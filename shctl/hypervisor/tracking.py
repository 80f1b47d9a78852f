"""What is known of hosts and networks, and how it differs from what libvirt says now."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from shctl.common.errors import ShctlError, TimedOut
from shctl.common.states import DomainState
from shctl.common.timeout import run_with_timeout
from shctl.hypervisor import stored_xml
from shctl.hypervisor.callbacks import Notice
from shctl.hypervisor.connection import Hypervisor
from shctl.xml.summary import Summary, without_metadata

_TIMEOUT = 5.0  # seconds to read one host's definition, for which QEMU may be asked
_START = 0.1  # seconds
_OFF = (DomainState.SHUT_OFF, DomainState.CRASHED)
_LATER = "found after a reconnect"


@dataclass(frozen=True)
class Change:
    """What happened: `kind` is host or network, `what` a word such as started."""

    kind: str
    what: str
    name: str
    uuid: str
    detail: str | None = None


@dataclass(frozen=True)
class _Host:
    """A host as it was seen last; `definition` is a hash of its XML without metadata.

    `started` is when it was started, in seconds of the monotonic clock.
    """

    name: str
    complete: bool = True
    phase: str | None = None
    definition: int = 0
    macs: tuple[str, ...] = ()
    state: str = DomainState.SHUT_OFF
    addresses: frozenset[str] = frozenset()
    started: float = float("-inf")


class Tracker:
    """The hosts and networks of a hypervisor; used by one thread."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self._hosts: dict[str, _Host] = {}
        self._networks: dict[str, bool] = {}
        # What happened to hosts whose creation is not complete.
        self._held: dict[str, list[Change]] = {}
        self._is_first = True

    def changes_of(self, notice: Notice) -> list[Change]:
        """Return the changes that an event of libvirt says."""
        if notice.kind == "network":
            return self._network_changes(notice)
        changes = []
        # A transient domain starts without having been defined.
        if not notice.what or notice.uuid not in self._hosts:
            changes = list(self._examine(notice.uuid, notice.name))
        if notice.what:
            changes += self._lifecycle(notice)
        return self._hold(notice.uuid, changes)

    def _lifecycle(self, notice: Notice) -> Iterator[Change]:
        host = self._hosts.get(notice.uuid)
        if host is None:  # its definition could not be read
            yield Change("host", notice.what, notice.name, notice.uuid, notice.detail)
            return
        state = _STATES.get(notice.what, DomainState.RUNNING)
        is_known = notice.what in _SWITCHES and (state in _OFF) == (host.state in _OFF)
        if is_known or _is_part_of_start(notice, host):
            # It is paused once: anyone who pauses it again means it.
            if notice.what == "paused":
                self._hosts[notice.uuid] = replace(host, started=float("-inf"))
            return
        self._hosts[notice.uuid] = replace(
            host,
            state=state,
            addresses=frozenset() if state in _OFF else host.addresses,
            started=notice.time if notice.what == "started" else host.started,
        )
        yield Change("host", notice.what, notice.name, notice.uuid, notice.detail)
        if notice.what in ("stopped", "crashed") and not self._exists(notice.uuid):
            yield from self._forget(notice.uuid)

    def _examine(self, uuid: str, name: str) -> Iterator[Change]:
        """Return what changed in a host's definition and metadata."""
        text = self._read(uuid, name)
        if text is None or (found := _seen(name, text)) is None:
            if not self._exists(uuid):
                yield from self._forget(uuid)
            return
        before = self._hosts.get(uuid)
        if before is not None:
            found = replace(
                found, state=before.state, addresses=before.addresses, started=before.started
            )
        self._hosts[uuid] = found
        yield from _differences(uuid, before, found)

    def _read(self, uuid: str, name: str) -> str | None:
        """Return a host's stored definition as compare() reads it; None if there is none."""
        late = TimedOut(f"the definition of host {name!r} cannot be read")
        found = run_with_timeout(
            _TIMEOUT, lambda: stored_xml.read(self._hypervisor, {uuid: name}, ()), late
        )
        return found.get(uuid)

    def _exists(self, uuid: str) -> bool:
        known = self._hosts.get(uuid)
        # Another domain may have its name by now.
        found = self._hypervisor.find_domain(known.name) if known else None
        return found is not None and found.uuid == uuid

    def _forget(self, uuid: str) -> Iterator[Change]:
        if host := self._hosts.pop(uuid, None):
            yield Change("host", "deleted", host.name, uuid)

    def _hold(self, uuid: str, changes: list[Change]) -> list[Change]:
        """Return the changes, once the creation of their host is complete."""
        host = self._hosts.get(uuid)
        is_new = uuid in self._held or any(change.what == "created" for change in changes)
        if host is not None and not host.complete and is_new:
            self._held.setdefault(uuid, []).extend(changes)
            return []
        if uuid not in self._held:
            return changes
        held = self._held.pop(uuid)
        # Of a creation that was rolled back, nothing was there.
        return [] if host is None else _compacted([*held, *changes])

    def _network_changes(self, notice: Notice) -> list[Change]:
        what = notice.what
        if what == "defined":
            what = "changed" if notice.name in self._networks else "created"
            self._networks.setdefault(notice.name, False)
        elif what == "undefined":
            what = "deleted"
            self._networks.pop(notice.name, None)
        else:
            self._networks[notice.name] = what == "started"
        return [Change("network", what, notice.name, notice.uuid)]

    def compare(self) -> list[Change]:
        """Read everything, and return the differences to what was known; none the first time."""
        hosts, networks = self._all_hosts(), self._all_networks()
        changes = [*self._host_differences(hosts), *self._network_differences(networks)]
        self._hosts, self._networks = hosts, networks
        self._held = {uuid: held for uuid, held in self._held.items() if uuid in hosts}
        was_first, self._is_first = self._is_first, False
        return [] if was_first else changes

    def _all_hosts(self) -> dict[str, _Host]:
        rows = self._hypervisor.hosts()
        # The stored definitions: a QEMU that hangs must not stop the feed.
        texts = stored_xml.read(self._hypervisor, {row.id: row.name for row in rows}, ())
        found = {}
        for row in rows:
            seen = _seen(row.name, texts[row.id]) if row.id in texts else None
            if seen:
                before = self._hosts.get(row.id)
                addresses = before.addresses if before else frozenset()
                found[row.id] = replace(seen, state=row.state, addresses=addresses)
        return found

    def _all_networks(self) -> dict[str, bool]:
        return {row.name: row.state == "active" for row in self._hypervisor.networks()}

    def _host_differences(self, hosts: dict[str, _Host]) -> Iterator[Change]:
        for uuid in self._hosts.keys() - hosts.keys():
            yield Change("host", "deleted", self._hosts[uuid].name, uuid, _LATER)
        for uuid, host in hosts.items():
            before = self._hosts.get(uuid)
            yield from _differences(uuid, before, host)
            if what := _transition(before.state if before else DomainState.SHUT_OFF, host.state):
                yield Change("host", what, host.name, uuid, _LATER)

    def _network_differences(self, networks: dict[str, bool]) -> Iterator[Change]:
        for name in self._networks.keys() - networks.keys():
            yield Change("network", "deleted", name, "", _LATER)
        for name, active in networks.items():
            if name not in self._networks:
                yield Change("network", "created", name, "", _LATER)
            if active != self._networks.get(name, False):
                yield Change("network", "started" if active else "stopped", name, "", _LATER)

    def new_addresses(self) -> Iterator[Change]:
        """Return the addresses that this machine sees for the first time of a running host."""
        from shctl.hypervisor import arp

        seen = arp.addresses()
        # A copy, because the rows are replaced.
        for uuid, host in list(self._hosts.items()):
            if host.state in _OFF:
                continue
            found = frozenset(address for mac in host.macs for address in seen.get(mac, ()))
            for address in sorted(found - host.addresses):
                yield Change("host", "address", host.name, uuid, address)
            self._hosts[uuid] = replace(host, addresses=host.addresses | found)


_SWITCHES = ("started", "stopped", "crashed")
_STATES = {
    "stopped": DomainState.SHUT_OFF,
    "crashed": DomainState.SHUT_OFF,
    "paused": DomainState.PAUSED,
    "asleep": DomainState.PMSUSPENDED,
}


def _is_part_of_start(notice: Notice, host: _Host) -> bool:
    """Return whether a host is paused or resumed by its own start, which nobody asked for.

    libvirt resumes each host as it starts, and a host that starts paused is paused right after it.
    """
    if notice.what == "resumed":
        return host.state not in (DomainState.PAUSED, DomainState.PMSUSPENDED)
    return notice.what == "paused" and notice.time < host.started + _START


def _seen(name: str, text: str) -> _Host | None:
    try:
        summary = Summary(text)
    except (ValueError, ShctlError):
        return None
    phase = summary.install.phase if summary.install else None
    # libvirt changes the order of devices when it restarts.
    definition = hash(tuple(sorted(without_metadata(text).splitlines())))
    return _Host(name, summary.complete, phase, definition, summary.macs)


def _differences(uuid: str, before: _Host | None, host: _Host) -> Iterator[Change]:
    if before is None:
        yield Change("host", "created", host.name, uuid)
    elif before.name != host.name:
        yield Change("host", "changed", host.name, uuid, f"renamed from {before.name}")
    elif before.definition != host.definition:
        yield Change("host", "changed", host.name, uuid)
    if host.phase and (before is None or before.phase != host.phase):
        yield Change("host", "install", host.name, uuid, host.phase)


def _transition(before: str, state: str) -> str | None:
    """Return what happened between two states, None if nothing is certain."""
    # What came in between, such as a stop and a start, has left no trace.
    if (before in _OFF) != (state in _OFF):
        return "stopped" if state in _OFF else "started"
    if before != state and state == DomainState.PAUSED:
        return "paused"
    if before == DomainState.PAUSED and state == DomainState.RUNNING:
        return "resumed"
    return None


def _compacted(changes: Iterable[Change]) -> list[Change]:
    """Return the changes of a creation without its second definition, which has the disks."""
    return [change for change in changes if change.what != "changed"]
