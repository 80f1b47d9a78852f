"""The context that a frontend passes to every command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

Progress = Callable[[str, int, "int | None"], None]
Live = AbstractContextManager[Progress]
Observe = Callable[[], "list[Observation]"]

if TYPE_CHECKING:
    from shctl.common.observation import Observation
    from shctl.hypervisor.connection import Hypervisor
    from shctl.hypervisor.feed import Feed

DEFAULT_URI = "qemu:///system"  # an unprivileged libvirtd cannot attach hosts to bridges


class Session:
    """One call of shctl; commands get it with click's pass_obj.

    ask: asks the user a yes-or-no question; None without a terminal.
    note: called with a remark for the user, such as that a list is empty.
    after: the ID of the last event that the caller has.
    live: shows observations of hosts while a block runs.
    local: the caller is a local user, who may name files on this machine.
    interrupted: what to report when Ctrl-C ends the command.
    kept: --if-not-exists found the object, so nothing was created.
    emptied: parameters that a request sets to false or to an empty list, over their defaults.
    undo_unprinted: undoes a command whose result could not be printed; returns a message.
    """

    def __init__(self, uri: str = DEFAULT_URI, hypervisor: Hypervisor | None = None) -> None:
        self.uri = uri
        if hypervisor:
            self.hypervisor = hypervisor
        self.output = "table"
        self.debug = False
        self.local = False
        self.kept = False
        self.after: str | None = None
        self.interrupted = "interrupted"
        self.emptied: frozenset[str] = frozenset()
        self.undo_unprinted: Callable[[], str] | None = None
        self.ask: Callable[[str], bool] | None = None
        self.note: Callable[[str], None] = _no_note
        self.live: Callable[[Observe, float | None, str, bool], Live] = _no_live

    @cached_property
    def hypervisor(self) -> Hypervisor:
        """Return the hypervisor; its connection opens on first use."""
        from shctl.hypervisor.connection import Hypervisor

        return Hypervisor(self.uri)

    @cached_property
    def lasting(self) -> Hypervisor:
        """Return a hypervisor for what goes on after the command: in the server, its own."""
        return self.hypervisor

    @cached_property
    def feed(self) -> Feed:
        """Return the events of the hypervisor; the server has one feed for all requests."""
        from shctl.hypervisor.feed import Feed

        return Feed(self.hypervisor)

    @property
    def shows_table(self) -> bool:
        """Return whether a person reads the result as a table."""
        return self.local and self.output == "table"

    def show_live(
        self,
        names: Sequence[str],
        limit: float | None,
        *,
        lines: bool,
        goal: str = "",
        before: str | None = None,
    ) -> Live:
        """Show hosts while a block waits for them, with a time limit in seconds.

        `lines` shows them without a terminal too. `goal` is what the block waits for; `before` says
        what a host is until it is complete. The block gets what downloads report to.
        """
        from shctl.hosts.observation import Observer

        return self.live(Observer(self.hypervisor, names, before), limit, goal, lines)

    def note_kept(self) -> None:
        """Record that the object to create already exists."""
        self.kept = True

    def close(self) -> None:
        """Close the connection, if one was opened."""
        # cached_property stores its value there; the attribute itself would load libvirt.
        if "hypervisor" in self.__dict__:
            self.hypervisor.close()


def _no_note(_text: str) -> None:
    pass


@contextmanager
def _no_live(
    _observe: Observe, _limit: float | None, _goal: str, _lines: bool
) -> Iterator[Progress]:
    yield no_progress


def no_progress(_name: str, _done: int, _size: int | None) -> None:
    """Ignore how much of a file was downloaded."""
