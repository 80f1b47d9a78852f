"""States in virsh's words, which are also those of the JSON output."""

from enum import StrEnum


class DomainState(StrEnum):
    """State of a domain, in the order of libvirt's virDomainState."""

    NO_STATE = "no state"
    RUNNING = "running"
    IDLE = "idle"
    PAUSED = "paused"
    IN_SHUTDOWN = "in shutdown"
    SHUT_OFF = "shut off"
    CRASHED = "crashed"
    PMSUSPENDED = "pmsuspended"


class Reason(StrEnum):
    """The reasons of a state that shctl acts on; libvirt has more."""

    API_ERROR = "API error"
    CRASHED = "crashed"
    DESTROYED = "destroyed"
    FAILED = "failed"
    IO_ERROR = "I/O error"
    PANICKED = "panicked"
    POST_COPY_FAILED = "post-copy failed"
    SHUTDOWN = "shutdown"
    UNKNOWN = "unknown"
    WATCHDOG = "watchdog"


class NetworkState(StrEnum):
    """State of a network: interfaces can connect to an active one only."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class PoolState(StrEnum):
    """State of a storage pool: only the volumes of an active one can be used."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class Phase(StrEnum):
    """State of an installation.

    FINISHING lasts from the installer's clean shutdown until the host has booted from its disk. It
    is stored in the host's metadata and displayed as INSTALLING.
    """

    INSTALLING = "installing"
    FINISHING = "finishing"
    INSTALLED = "installed"
    FAILED = "failed"
