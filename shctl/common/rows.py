"""The rows of the lists of hosts and networks.

Not in shctl.common.model, which takes 8 ms to import, and not dataclasses, which would add 1.5 ms
to the 50 ms of a list.
"""

HOST_COLUMNS = (
    "id", "name", "state", "install", "memory", "cpus", "vlans", "networks", "addresses", "created",
    "age", "managed", "autostart",
)  # fmt: skip
NETWORK_COLUMNS = (
    "name", "state", "autostart", "persistent", "bridge", "vlan", "trunk", "hosts",
)  # fmt: skip


class Host:
    """A row of the list of hosts; `state` is one of virsh's states."""

    __slots__ = ("id", "name", "state")
    columns: tuple[str, ...] = ("name", "state", "id")

    def __init__(self, id: str, name: str, state: str) -> None:
        self.id = id
        self.name = name
        self.state = state


class Install:
    """An installation; `phase` is installing, installed or failed, times in RFC 3339 format."""

    __slots__ = ("phase", "reason", "started", "deadline", "ended", "location")  # noqa: RUF023
    columns: tuple[str, ...] = __slots__

    def __init__(
        self,
        phase: str,
        reason: str | None,
        started: str,
        deadline: str,
        ended: str | None,
        location: str | None,
    ) -> None:
        self.phase = phase
        self.reason = reason
        self.started = started
        self.deadline = deadline
        self.ended = ended
        self.location = location

    def __str__(self) -> str:
        """Return what a list shows."""
        return self.phase


class HostRow:
    """A row of the list of hosts with the columns that were asked for.

    `memory` in MiB, `created` in RFC 3339 format, `age` in seconds since then; `install` is null
    without an installation. `vlans` are the tags of all interfaces, `networks` their names.
    """

    __slots__ = (*HOST_COLUMNS, "shown")
    required = ()

    def __init__(
        self,
        id: str,
        name: str,
        state: str,
        install: Install | None = None,
        memory: int | None = None,
        cpus: int | None = None,
        vlans: tuple[int, ...] = (),
        networks: tuple[str, ...] = (),
        addresses: tuple[str, ...] = (),
        created: str | None = None,
        age: int | None = None,
        managed: bool = False,
        autostart: bool = False,
    ) -> None:
        self.id = id
        self.name = name
        self.state = state
        self.install = install
        self.memory = memory
        self.cpus = cpus
        self.vlans = vlans
        self.networks = networks
        self.addresses = addresses
        self.created = created
        self.age = age
        self.managed = managed
        self.autostart = autostart
        self.shown: tuple[str, ...] = HOST_COLUMNS

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of a table."""
        return self.shown


class Network:
    """A row of the list of networks; `autostart` and `persistent` are "yes" or "no"."""

    __slots__ = ("name", "state", "autostart", "persistent")  # noqa: RUF023 - as JSON has them
    columns: tuple[str, ...] = __slots__

    def __init__(self, name: str, state: str, autostart: str, persistent: str) -> None:
        self.name = name
        self.state = state
        self.autostart = autostart
        self.persistent = persistent


class NetworkRow:
    """A row of the list of networks with the columns that were asked for.

    `vlan` is the tag of its access ports, or the native tag of trunks; `hosts` have an interface
    on it.
    """

    __slots__ = (*NETWORK_COLUMNS, "shown")
    required = ()

    def __init__(
        self,
        name: str,
        state: str,
        autostart: str,
        persistent: str,
        bridge: str | None = None,
        vlan: int | None = None,
        trunk: tuple[int, ...] = (),
        hosts: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.state = state
        self.autostart = autostart
        self.persistent = persistent
        self.bridge = bridge
        self.vlan = vlan
        self.trunk = trunk
        self.hosts = hosts
        self.shown: tuple[str, ...] = NETWORK_COLUMNS

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of a table."""
        return self.shown


class Event:
    """Something that happened to a host or a network, by any program.

    `event` is a word such as host.started; `detail` is a reason, a phase or an address. `id`
    increases, and is unique within a run of the server.
    """

    __slots__ = ("id", "time", "event", "host", "network", "uuid", "detail")  # noqa: RUF023
    columns: tuple[str, ...] = ("time", "event", "name", "detail")

    def __init__(
        self,
        id: str,
        time: str,
        event: str,
        host: str | None,
        network: str | None,
        uuid: str | None,
        detail: str | None,
    ) -> None:
        self.id = id
        self.time = time
        self.event = event
        self.host = host
        self.network = network
        self.uuid = uuid
        self.detail = detail

    @property
    def name(self) -> str | None:
        """Return the name of the host or network."""
        return self.host or self.network
