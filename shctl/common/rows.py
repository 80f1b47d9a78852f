"""The rows of the lists of hosts and networks.

Not in shctl.common.model, which takes 8 ms to import, and not dataclasses, which would add 1.5 ms
to the 50 ms of a list.
"""


class Host:
    """A row of the list of hosts; `state` is one of virsh's states."""

    __slots__ = ("id", "name", "state")
    columns = ("name", "state", "id")

    def __init__(self, id: str, name: str, state: str) -> None:
        self.id = id
        self.name = name
        self.state = state


class Network:
    """A row of the list of networks; `autostart` and `persistent` are "yes" or "no"."""

    __slots__ = ("name", "state", "autostart", "persistent")  # noqa: RUF023 - as JSON has them
    columns = __slots__

    def __init__(self, name: str, state: str, autostart: str, persistent: str) -> None:
        self.name = name
        self.state = state
        self.autostart = autostart
        self.persistent = persistent
