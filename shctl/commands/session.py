"""What a face hands to every command: the hypervisor, and how to talk to a person."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shctl.hypervisor.connection import Hypervisor

DEFAULT_URI = "qemu:///system"


class Session:
    """One use of shctl; commands get it by click's pass_obj.

    `ask` puts a yes-or-no question to a person and is None where nobody is there to answer.
    `progress` is told what is fetched, bytes done and in all. `local` says that whoever calls may
    name files of this machine. `kept` says that what was to be made was there already; `take_back`
    undoes what makes no sense unless its result is printed, and returns words for that.
    """

    def __init__(self, uri: str = DEFAULT_URI, hypervisor: Hypervisor | None = None) -> None:
        self.uri = uri
        if hypervisor:
            self.hypervisor = hypervisor
        self.output = "table"
        self.debug = False
        self.local = False
        self.kept = False
        self.take_back: Callable[[], str] | None = None
        self.ask: Callable[[str], bool] | None = None
        self.progress: Callable[[str, int, int | None], None] = _silent

    @cached_property
    def hypervisor(self) -> Hypervisor:
        """Return the hypervisor, whose connection opens at its first use."""
        from shctl.hypervisor.connection import Hypervisor

        return Hypervisor(self.uri)

    def note_kept(self) -> None:
        """Note that what was to be made was there already."""
        self.kept = True

    def close(self) -> None:
        """Close the connection if one was opened."""
        if "hypervisor" in self.__dict__:
            self.hypervisor.close()


def _silent(_what: str, _done: int, _size: int | None) -> None:
    pass
