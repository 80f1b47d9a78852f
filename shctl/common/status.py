"""What `shctl status` returns; as in shctl.common.model, which would become too long with it.

A part that could not be read is None, and `Status.problems` says why.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Machine:
    """The hypervisor: its host name, the URI of the connection, and the driver in libvirt."""

    columns: ClassVar[tuple[str, ...]] = ("name", "uri", "driver")
    name: str
    uri: str
    driver: str


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """The hypervisor's memory, in MiB.

    `used` is the maximum memory of all running hosts together, which they may take at any time.
    `free` is the rest of `total`: what new hosts may have. `available` is what the machine could
    give out now, as libvirt reports it: free memory, buffers and page cache.
    """

    columns: ClassVar[tuple[str, ...]] = ("total", "used", "free", "available")
    units: ClassVar[dict[str, str]] = dict.fromkeys(columns, "MiB")
    total: int
    used: int
    free: int
    available: int


@dataclass(frozen=True, slots=True)
class CpuUse:
    """The hypervisor's processors; `used` are those of all running hosts, `free` is the rest.

    Hosts share processors, so there may be more used ones than there are.
    """

    columns: ClassVar[tuple[str, ...]] = ("total", "used", "free")
    total: int
    used: int
    free: int


@dataclass(frozen=True, slots=True)
class PoolUse:
    """A storage pool; its sizes are in GiB, None while it is inactive or cannot be read.

    `allocation` is what is taken, by everything on the same file system, `available` what is left.
    """

    columns: ClassVar[tuple[str, ...]] = ("name", "state", "capacity", "allocation", "available")
    units: ClassVar[dict[str, str]] = dict.fromkeys(columns[2:], "GiB")
    name: str
    state: str
    capacity: float | None
    allocation: float | None
    available: float | None


@dataclass(frozen=True, slots=True)
class HostCount:
    """How many hosts are in a state; `state` is one of virsh's states."""

    columns: ClassVar[tuple[str, ...]] = ("state", "count")
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class VlanUse:
    """A VLAN in use on a bridge, and the networks that carry it, if any.

    A VLAN without a network is the tag of a port in Open vSwitch.
    """

    columns: ClassVar[tuple[str, ...]] = ("tag", "bridge", "networks")
    tag: int
    bridge: str | None
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions, None if unknown; `libvirt` is that of the library, `libvirtd` that of the daemon.

    `python` and `kernel` are those of the machine that shctl runs on.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "shctl", "libvirt", "libvirtd", "qemu", "openvswitch", "python", "kernel",
    )  # fmt: skip
    shctl: str
    libvirt: str
    libvirtd: str | None
    qemu: str | None
    openvswitch: str | None
    python: str
    kernel: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of the status that could not be read, or not completely, and the reason."""

    columns: ClassVar[tuple[str, ...]] = ("part", "reason")
    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a hypervisor; a part that could not be read is None, and is in `problems`."""

    columns: ClassVar[tuple[str, ...]] = (
        "hypervisor", "memory", "cpus", "pools", "hosts", "vlans", "versions", "problems",
    )  # fmt: skip
    hypervisor: Machine | None
    memory: MemoryUse | None
    cpus: CpuUse | None
    pools: tuple[PoolUse, ...] | None
    hosts: tuple[HostCount, ...] | None
    vlans: tuple[VlanUse, ...] | None
    versions: Versions
    problems: tuple[Unread, ...]

    @property
    def name(self) -> str:
        """Return what `-o name` prints."""
        return self.hypervisor.name if self.hypervisor else ""
