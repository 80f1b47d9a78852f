"""The lines of the most frequent lists.

Apart from shctl.common.model, which takes 8 ms to import, and no dataclasses, which would take
1.5 ms of a whole list's 50.
"""


class Host:
    """One line of the list of hosts; `state` is one of virsh's words."""

    __slots__ = ("id", "name", "state")
    columns = ("name", "state", "id")

    def __init__(self, id: str, name: str, state: str) -> None:
        self.id = id
        self.name = name
        self.state = state


class Network:
    """One line of the list of networks; `autostart` and `persistent` are "yes" or "no"."""

    __slots__ = ("name", "state", "autostart", "persistent")  # noqa: RUF023 - as JSON has them
    columns = __slots__

    def __init__(self, name: str, state: str, autostart: str, persistent: str) -> None:
        self.name = name
        self.state = state
        self.autostart = autostart
        self.persistent = persistent
