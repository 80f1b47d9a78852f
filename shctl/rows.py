"""The lines of the most frequent lists, apart from shctl.model, which takes 8 ms to import."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Host:
    """One line of the list of hosts; `state` is one of virsh's words."""

    columns: ClassVar[tuple[str, ...]] = ("name", "state", "id")
    id: str
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Network:
    """One line of the list of networks; `autostart` and `persistent` are "yes" or "no"."""

    columns: ClassVar[tuple[str, ...]] = ("name", "state", "autostart", "persistent")
    name: str
    state: str
    autostart: str
    persistent: str
