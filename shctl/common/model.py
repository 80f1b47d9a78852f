"""What commands return: frozen data that every frontend can display.

`columns` names the fields that a table shows, in its order. See also shctl.common.rows.
"""

from dataclasses import dataclass
from typing import ClassVar

from shctl.common.rows import Install


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of a host; `size` in GiB, None if libvirt does not report it."""

    columns: ClassVar[tuple[str, ...]] = ("name", "size", "owned", "path")
    name: str
    size: float | None
    path: str | None
    owned: bool


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of a host; `port` is the Open vSwitch port while the host runs.

    `index` identifies it in commands; `link` is up, or down: the guest sees no carrier.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "index", "network", "mac", "vlan", "trunk", "port", "link", "addresses",
    )  # fmt: skip
    network: str | None
    mac: str
    vlan: int | None
    trunk: tuple[int, ...]
    port: str | None
    addresses: tuple[str, ...]
    index: int
    link: str


class Part:
    """Base of what is added to a host: `key` is the last part of its path in REST."""

    __slots__ = ()

    @property
    def key(self) -> str:
        """Return what identifies it within its host: sdb, or the index of an interface."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ChangedDisk(Part):
    """A disk that was added or resized; `size` in GiB, `serial` as the guest sees it.

    `applied` is "now", or "next start": of QEMU, as always for a host that is off.
    """

    columns: ClassVar[tuple[str, ...]] = ("name", "size", "owned", "path", "serial", "applied")
    name: str
    size: float
    path: str
    owned: bool
    serial: str | None
    applied: str

    @property
    def key(self) -> str:
        """Return the name, the last part of the disk's path in REST."""
        return self.name


@dataclass(frozen=True, slots=True)
class RemovedDisk:
    """A disk that a host has no more; `result` is removed, or detached if its image was kept.

    `kept` has the path of that image.
    """

    columns: ClassVar[tuple[str, ...]] = ("name", "result", "kept", "applied")
    name: str
    result: str
    kept: tuple[str, ...]
    applied: str


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a host; `applied` is "now", or "next start": of QEMU, not within the guest.

    The changes of a host that is off have "next start" too, unless they need no QEMU.
    """

    columns: ClassVar[tuple[str, ...]] = ("key", "value", "applied")
    key: str
    value: str | int | bool | None
    applied: str


@dataclass(frozen=True, slots=True)
class AddedInterface(Part):
    """An interface that was added to a host; `applied` as in a Change."""

    columns: ClassVar[tuple[str, ...]] = (
        "index", "network", "mac", "vlan", "trunk", "link", "applied",
    )  # fmt: skip
    index: int
    network: str
    mac: str
    vlan: int | None
    trunk: tuple[int, ...]
    link: str
    applied: str

    @property
    def key(self) -> str:
        """Return the index."""
        return str(self.index)

    @property
    def name(self) -> str:
        """Return what `-o name` prints."""
        return self.key


@dataclass(frozen=True, slots=True)
class Changed:
    """What was changed of a host; no changes if it was so already."""

    columns: ClassVar[tuple[str, ...]] = ("name", "changes")
    name: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class HostDetail:
    """The details of a host; `memory` in MiB, `created` in UTC, in RFC 3339 format.

    `memory` and `cpus` are the current values, which a balloon or hot-plug may change up to
    `max_memory` and `max_cpus`. `reason` says why it is in its state, in virsh's words; None if
    unknown. `virt_type` is kvm or qemu. While the host runs, `pending` has what its next start
    changes, and `vnc` is the address of its screen on the hypervisor, as host:port.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "name", "state", "reason", "id", "managed", "memory", "max_memory", "cpus", "max_cpus",
        "firmware", "virt_type", "autostart", "created", "console", "vnc", "pending", "install",
        "disks", "interfaces",
    )  # fmt: skip
    id: str
    name: str
    state: str
    reason: str | None
    managed: bool
    memory: int
    max_memory: int
    cpus: int
    max_cpus: int
    firmware: str
    autostart: bool
    created: str | None
    console: str | None
    install: Install | None
    disks: tuple[Disk, ...]
    interfaces: tuple[Interface, ...]
    virt_type: str
    pending: tuple[Change, ...] = ()
    vnc: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A change that would be made: a verb, what it changes, and both in a sentence."""

    columns: ClassVar[tuple[str, ...]] = ("description",)
    action: str
    target: str
    description: str


class Planned:
    """Base of what a dry run returns: nothing was changed."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class PlannedDisk:
    """A disk that a new host would have; `size` in GiB."""

    columns: ClassVar[tuple[str, ...]] = ("name", "size", "pool", "volume")
    name: str
    size: int
    pool: str
    volume: str


@dataclass(frozen=True, slots=True)
class PlannedInterface:
    """A network interface that a new host would have."""

    columns: ClassVar[tuple[str, ...]] = ("index", "network", "mac", "vlan", "trunk")
    network: str
    mac: str
    vlan: int | None
    trunk: tuple[int, ...]
    index: int
    link: str


@dataclass(frozen=True, slots=True)
class ChangePlan(Planned):
    """The steps that would change a host or a token, none if nothing would be done."""

    columns: ClassVar[tuple[str, ...]] = ("name", "steps")
    name: str
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class NetworkPlan(Planned):
    """The steps that would create or delete a network, none if nothing would be done.

    `vlan` is the tag that a creation would choose now.
    """

    columns: ClassVar[tuple[str, ...]] = ("name", "bridge", "vlan", "trunk", "steps")
    name: str
    bridge: str | None
    vlan: int | None
    trunk: tuple[int, ...]
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class CreationPlan(Planned):
    """The steps that would create a host, and what it would have.

    Without steps the host already exists, and would be kept as it is.
    """

    columns: ClassVar[tuple[str, ...]] = ("name", "disks", "interfaces", "steps")
    name: str
    steps: tuple[PlannedStep, ...]
    disks: tuple[PlannedDisk, ...]
    interfaces: tuple[PlannedInterface, ...]


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file or device that a deletion would keep, and why."""

    columns: ClassVar[tuple[str, ...]] = ("path", "reason")
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeletionPlan(Planned):
    """The steps that would delete a host, and the files of it that would be kept.

    Without steps there is no such host, and a deletion with if_exists would do nothing.
    """

    columns: ClassVar[tuple[str, ...]] = ("name", "steps", "kept")
    name: str
    steps: tuple[PlannedStep, ...]
    kept: tuple[KeptFile, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A URL that was tried, and its result: the HTTP status, or a short text."""

    columns: ClassVar[tuple[str, ...]] = ("status", "url")
    url: str
    status: str


@dataclass(frozen=True, slots=True)
class TreeDetail:
    """The contents of an installation tree; kernel and initrd are paths below its location.

    `medium` is the URL of what the installer loads besides, null if there is none or it was not
    found. `answers` are the kinds that the installer reads, `memory` is the least that it starts
    with, in MiB.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "location", "kind", "version", "arch", "how", "kernel", "initrd", "medium", "arguments",
        "installer", "answers", "memory", "attempts",
    )  # fmt: skip
    location: str
    kind: str
    version: str | None
    arch: str
    how: str
    kernel: str
    initrd: str
    medium: str | None
    arguments: tuple[str, ...]
    installer: str
    answers: tuple[str, ...]
    memory: int | None
    attempts: tuple[Attempt, ...]

    @property
    def name(self) -> str:
        """Return what `-o name` prints."""
        return self.location


@dataclass(frozen=True, slots=True)
class CheckedAnswers:
    """How answers reach a tree's installer: files in its initrd or on a CD, and its command line.

    `hints` are what probably makes the installer ask or fail.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "location", "installer", "initrd", "cd", "label", "cmdline", "hints",
    )  # fmt: skip
    location: str
    installer: str
    initrd: tuple[str, ...]
    cd: tuple[str, ...]
    label: str | None
    cmdline: str
    hints: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return what `-o name` prints."""
        return self.location


@dataclass(frozen=True, slots=True)
class Port:
    """A port on a network, with its tag as Open vSwitch has it."""

    columns: ClassVar[tuple[str, ...]] = ("host", "interface", "mac", "tag", "trunk")
    host: str
    interface: str
    mac: str
    tag: int | None
    trunk: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NetworkDetail:
    """Details of a network; `vlan` is the tag of its access ports, or the native tag of trunks."""

    columns: ClassVar[tuple[str, ...]] = (
        "name", "state", "autostart", "persistent", "bridge", "vlan", "trunk", "hosts", "ports",
    )  # fmt: skip
    name: str
    state: str
    autostart: str
    persistent: str
    bridge: str | None
    vlan: int | None
    trunk: tuple[int, ...]
    hosts: tuple[str, ...]
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that doctor found, and its remedy."""

    columns: ClassVar[tuple[str, ...]] = ("kind", "name", "problem", "remedy", "result")
    kind: str
    name: str
    problem: str
    remedy: str
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Cached:
    """A file in the cache of installation trees; `size` in bytes, `used` in RFC 3339 format."""

    columns: ClassVar[tuple[str, ...]] = ("name", "bytes", "used")
    name: str
    bytes: int
    used: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did to one host or network; `kept` names disks that were not its own."""

    columns: ClassVar[tuple[str, ...]] = ("name", "result", "kept")
    name: str
    result: str
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting in force; `source` is option, environment, file or default, `where` which one."""

    columns: ClassVar[tuple[str, ...]] = ("name", "value", "source", "where")
    name: str
    value: str | int | tuple[str, ...] | None
    source: str
    where: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret; `state` is valid or expired, times in RFC 3339 format."""

    columns: ClassVar[tuple[str, ...]] = ("name", "scope", "state", "created", "expires")
    name: str
    scope: str
    state: str
    created: str
    expires: str | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A new token with its secret, `token`, which is not stored."""

    columns: ClassVar[tuple[str, ...]] = ("name", "scope", "expires", "token")
    name: str
    scope: str
    expires: str | None
    token: str
