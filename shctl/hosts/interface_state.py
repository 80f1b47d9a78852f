"""A host's interfaces, stored and running, with the indexes by which commands name them; no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shctl.common import names
from shctl.common.errors import Conflict, NotFound, TimedOut
from shctl.hosts import pending
from shctl.hosts.change_state import HostState
from shctl.xml.interfaces import InterfaceRow


@dataclass(frozen=True)
class Found:
    """An interface of a host: as stored and as it runs, None where it is not."""

    host: str
    index: int
    mac: str
    stored: InterfaceRow | None
    running: InterfaceRow | None

    def __str__(self) -> str:
        return f"interface {self.index} of host {self.host}"


def choose(state: HostState) -> tuple[int, str]:
    """Return the index and the MAC address of the next interface of a host; raise Conflict."""
    used = set(_indexes(state).values())
    index = next(number for number in range(len(used) + 1) if number not in used)
    if index >= names.MAX_INTERFACES:
        raise Conflict(f"host {state.name!r} has {len(used)} interfaces, and cannot have more")
    return index, names.mac(state.name, index)


def find(state: HostState, index: int) -> Found:
    """Return a host's interface; raise NotFound with those that it has."""
    indexes = _indexes(state)
    mac = next((mac for mac, number in indexes.items() if number == index), None)
    if mac is None:
        raise not_found(state.name, index, indexes.values())
    running = state.running.interfaces if state.running else ()
    found = [next((row for row in rows if row.mac == mac), None)
             for rows in (state.stored.interfaces, running)]  # fmt: skip
    return Found(state.name, index, mac, *found)


def not_found(host: str, index: int, known: Iterable[int]) -> NotFound:
    """Return the error for an interface that a host does not have."""
    have = ", ".join(map(str, sorted(known))) or "none"
    return NotFound(f"host {host!r} has no interface {index}; its interfaces: {have}")


def check_answers(state: HostState) -> None:
    """Raise TimedOut for a running host whose QEMU hangs."""
    if state.active and state.running is None:
        raise hung(state.name)


def hung(host: str) -> TimedOut:
    """Return the error for a host whose QEMU hangs."""
    return TimedOut(
        f"QEMU of host {host!r} does not answer; 'shctl hosts stop {host} --force' kills it"
    )


def _indexes(state: HostState) -> dict[str, int]:
    stored = [row.mac for row in state.stored.interfaces]
    if len(set(stored)) < len(stored):
        raise Conflict(
            f"host {state.name!r} has several interfaces with the same MAC address; change them"
            f" with 'virsh edit {state.name}'"
        )
    infos = (state.running, state.stored) if state.running else (state.stored,)
    return pending.interface_indexes(state.name, *infos)
