"""The door to libvirt: the one module that imports it and reads its error codes.

Handles are looked up anew for each command, because an object of a lost connection never recovers.
"""

import errno
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import libvirt

from shctl.deadline import within
from shctl.errors import (
    Conflict,
    InvalidInput,
    NoSpace,
    NotFound,
    ShctlError,
    TimedOut,
    Unreachable,
)
from shctl.rows import Host, Network

OPEN_TIMEOUT = 10.0  # seconds
EVENT_PAUSE = 0.02  # seconds
KEEPALIVE = (5, 2)  # seconds between probes, probes that may stay unanswered

# virsh's words, by virDomainState.
_STATES = (
    "no state", "running", "idle", "paused", "in shutdown", "shut off", "crashed", "pmsuspended",
)  # fmt: skip

# Why a domain is shut off, by virDomainShutoffReason.
_ENDINGS = (
    "unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "snapshot",
    "daemon",
)  # fmt: skip

_MEANINGS: dict[int, type[ShctlError]] = {
    libvirt.VIR_ERR_NO_DOMAIN: NotFound,
    libvirt.VIR_ERR_NO_NETWORK: NotFound,
    libvirt.VIR_ERR_NO_STORAGE_POOL: NotFound,
    libvirt.VIR_ERR_NO_STORAGE_VOL: NotFound,
    libvirt.VIR_ERR_NO_DOMAIN_METADATA: NotFound,
    libvirt.VIR_ERR_STORAGE_VOL_EXIST: Conflict,
    libvirt.VIR_ERR_OPERATION_INVALID: Conflict,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: TimedOut,
    libvirt.VIR_ERR_XML_ERROR: InvalidInput,
    libvirt.VIR_ERR_XML_DETAIL: InvalidInput,
    libvirt.VIR_ERR_INVALID_ARG: InvalidInput,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: InvalidInput,
    libvirt.VIR_ERR_NO_CONNECT: Unreachable,
    libvirt.VIR_ERR_AUTH_FAILED: Unreachable,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: Unreachable,
    libvirt.VIR_ERR_AUTH_CANCELLED: Unreachable,
}
# What a lost or unwilling daemon looks like, when the RPC layer says it.
_LOST = {libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_RPC}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn libvirt's errors inside the block into ours, with what was being done in front."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise _meaning(error)(f"{what}: {_message(error)}") from error


def _meaning(error: libvirt.libvirtError) -> type[ShctlError]:
    code = error.get_error_code()
    if error.get_error_domain() == libvirt.VIR_FROM_RPC and code in _LOST:
        return Unreachable
    if error.get_int1() == errno.ENOSPC or "No space left" in str(error):
        return NoSpace
    taken = any(words in str(error) for words in ("already exists", "Active console session"))
    if code == libvirt.VIR_ERR_OPERATION_FAILED and taken:
        return Conflict
    return _MEANINGS.get(code, ShctlError)


def _message(error: libvirt.libvirtError) -> str:
    text = error.get_error_message() or str(error)
    if _meaning(error) is not Unreachable:
        return str(text)
    return f"{text}; is libvirtd running, and may you use it (root, or the group libvirt)?"


def _run_event_loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
        # While it waits in there, each call of another thread wakes it, and the two compete for
        # the interpreter: that doubles what the call takes. Events can bear the delay.
        time.sleep(EVENT_PAUSE)


@cache
def _prepare_libvirt() -> None:
    """Silence libvirt's own messages and run its event loop, without which keepalive does nothing.

    Keepalive is the only thing that ends a call to a daemon that hangs.
    """
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_event_loop, name="libvirt-events", daemon=True).start()


class Hypervisor:
    """One hypervisor: a libvirt connection that opens at its first use.

    A read-only one is open to more users: it lists, and changes nothing.
    """

    def __init__(
        self, uri: str, *, open_timeout: float = OPEN_TIMEOUT, read_only: bool = False
    ) -> None:
        self.uri = uri
        self.open_timeout = open_timeout
        self.read_only = read_only
        self._opened: Any = None
        self._opening = threading.Lock()
        self._watchers: list[Callable[[], None]] = []

    @property
    def simulated(self) -> bool:
        """Tell whether this is libvirt's test driver, which has no Open vSwitch beside it."""
        return self.uri.startswith("test:")

    @property
    def connection(self) -> Any:
        """Return the connection, opened at its first use and anew whenever it was lost.

        Raises Unreachable when that fails or takes too long.
        """
        if not self._is_alive():
            with self._opening:
                if not self._is_alive():
                    self._opened = self._open()
        return self._opened

    def _is_alive(self) -> bool:
        # Asks nobody: keepalive and the end of the stream are what libvirt judges by.
        with suppress(libvirt.libvirtError):
            return self._opened is not None and bool(self._opened.isAlive())
        return False

    def _open(self) -> Any:
        _prepare_libvirt()
        what = f"cannot reach libvirt at {self.uri}"
        opener = libvirt.openReadOnly if self.read_only else libvirt.open
        late = f"{what}: no answer within {self.open_timeout:g} s; is libvirtd stuck?"
        try:
            connection = within(self.open_timeout, lambda: opener(self.uri), Unreachable(late))
            self._set_up(connection)
        except libvirt.libvirtError as error:
            raise Unreachable(f"{what}: {_message(error)}") from error
        return connection

    def _set_up(self, connection: Any) -> None:
        with suppress(libvirt.libvirtError):  # the test driver has no keepalive
            connection.setKeepAlive(*KEEPALIVE)
        for watcher in self._watchers:
            lifecycle = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
            connection.domainEventRegisterAny(None, lifecycle, lambda *_, w=watcher: w(), None)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have a function called whenever a domain comes, starts, stops or goes.

        It holds from the next time the connection opens, so it is called before the first use.
        """
        self._watchers.append(watcher)

    def hosts(self) -> list[Host]:
        """Return every domain, sorted by name, in one call whatever their number."""
        connection = self.connection
        with translated("cannot list hosts"):
            stats = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
        found = [
            Host(domain.UUIDString(), domain.name(), _state(s["state.state"], s["state.reason"]))
            for domain, s in stats
        ]
        found.sort(key=lambda host: host.name)
        return found

    def networks(self) -> list[Network]:
        """Return every network, sorted by name, in three calls whatever their number."""
        active = self._network_names(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
        persistent = self._network_names(libvirt.VIR_CONNECT_LIST_NETWORKS_PERSISTENT)
        autostart = self._network_names(libvirt.VIR_CONNECT_LIST_NETWORKS_AUTOSTART)
        # An inactive network that is not persistent does not exist.
        return [
            Network(
                name=name,
                state="active" if name in active else "inactive",
                autostart=_yes_no(name in autostart),
                persistent=_yes_no(name in persistent),
            )
            for name in sorted(active | persistent)
        ]

    def _network_names(self, flag: int) -> set[str]:
        connection = self.connection
        with translated("cannot list networks"):
            return {network.name() for network in connection.listAllNetworks(flag)}

    def domain(self, name: str) -> "Domain":
        """Look up a host by name; raise NotFound with the nearest name that exists."""
        if found := self.find_domain(name):
            return found
        raise _not_found("host", name, [h.name for h in self.hosts()])

    def find_domain(self, name: str) -> "Domain | None":
        """Return a host by name, None where there is none."""
        connection = self.connection
        with suppress(NotFound), translated(f"cannot look up host {name!r}"):
            return Domain(connection.lookupByName(name))
        return None

    def domains(self) -> list["Domain"]:
        """Return a handle of every domain."""
        connection = self.connection
        with translated("cannot list hosts"):
            return [Domain(handle) for handle in connection.listAllDomains()]

    def active_uuids(self) -> set[str]:
        """Return the UUIDs of all domains that have a QEMU process."""
        connection = self.connection
        with translated("cannot list hosts"):
            flag = libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
            return {handle.UUIDString() for handle in connection.listAllDomains(flag)}

    def reserve(self, xml: str) -> "Domain":
        """Define a domain that is to be defined again; raise Conflict when its name is taken."""
        # Without the validation, which takes four times as long as the rest: define does that.
        return self._define(xml, 0)

    def define(self, xml: str) -> "Domain":
        """Define a domain; raise Conflict when another one has its name."""
        return self._define(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)

    def _define(self, xml: str, flags: int) -> "Domain":
        connection = self.connection
        with translated("cannot define the host"):
            return Domain(connection.defineXMLFlags(xml, flags))

    def launch_paused(self, xml: str) -> None:
        """Start QEMU by XML that differs from what is stored under the same UUID.

        The stored XML stays as it is and holds again as soon as that QEMU ends.
        """
        connection = self.connection
        flags = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_VALIDATE
        with translated("cannot start the installer"):
            connection.createXML(xml, flags)

    def has_kvm(self) -> bool:
        """Tell whether libvirt can use KVM for x86-64 guests."""
        connection = self.connection
        try:
            connection.getDomainCapabilities(None, "x86_64", "q35", "kvm")
        except libvirt.libvirtError:
            return False
        return True

    def network(self, name: str) -> "NetworkHandle":
        """Look up a network by name; raise NotFound with the nearest name that exists."""
        connection = self.connection
        try:
            with translated(f"cannot look up network {name!r}"):
                return NetworkHandle(connection.networkLookupByName(name))
        except NotFound:
            raise _not_found("network", name, [n.name for n in self.networks()]) from None

    def define_network(self, xml: str) -> "NetworkHandle":
        """Define a persistent network; raise Conflict when another one has its name."""
        connection = self.connection
        with translated("cannot define the network"):
            return NetworkHandle(connection.networkDefineXML(xml))

    def pool(self, name: str) -> "Pool":
        """Look up a storage pool by name; raise NotFound with the nearest name that exists."""
        connection = self.connection
        try:
            with translated(f"cannot look up pool {name!r}"):
                return Pool(connection.storagePoolLookupByName(name))
        except NotFound:
            raise _not_found("pool", name, self.pool_names()) from None

    def pool_names(self) -> list[str]:
        """Return the names of all storage pools, sorted."""
        connection = self.connection
        with translated("cannot list pools"):
            return sorted(pool.name() for pool in connection.listAllStoragePools())

    def define_pool(self, xml: str) -> "Pool":
        """Define a storage pool; raise Conflict when another one has its name."""
        connection = self.connection
        with translated("cannot define the pool"):
            return Pool(connection.storagePoolDefineXML(xml))

    def volume_at(self, path: str) -> "Volume":
        """Look up a volume by the path of its file or device; raise NotFound."""
        connection = self.connection
        with translated(f"cannot look up volume {path}"):
            return Volume(connection.storageVolLookupByPath(path))


class Domain:
    """A host's domain in libvirt."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name: str = handle.name()
        self.uuid: str = handle.UUIDString()

    def _doing(self, verb: str) -> Any:
        return translated(f"cannot {verb} host {self.name!r}")

    @property
    def state(self) -> str:
        """Return virsh's word for the state; raise NotFound when the domain has gone."""
        with self._doing("read the state of"):
            return _state(*self._handle.state())

    @property
    def ending(self) -> str:
        """Return how the domain's last QEMU ended: shutdown, destroyed, crashed, unknown, ..."""
        with self._doing("read the state of"):
            state, reason = self._handle.state()
        return _ENDINGS[reason] if state == libvirt.VIR_DOMAIN_SHUTOFF else "unknown"

    @property
    def active(self) -> bool:
        """Tell whether the domain has a QEMU process."""
        with self._doing("look at"):
            return bool(self._handle.isActive())

    @property
    def persistent(self) -> bool:
        """Tell whether the domain is stored, so that it outlives its QEMU process."""
        with self._doing("look at"):
            return bool(self._handle.isPersistent())

    @property
    def autostart(self) -> bool:
        """Tell whether libvirtd starts the host at its own start."""
        with self._doing("look at"):
            return bool(self._handle.autostart())

    def set_autostart(self, autostart: bool) -> None:
        """Have libvirtd start the host at its own start, or not."""
        with self._doing("set autostart of"):
            self._handle.setAutostart(int(autostart))

    def xml(self, *, stored: bool = False) -> str:
        """Return the XML as it runs, or as it is stored for the next start."""
        with self._doing("read"):
            return str(self._handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if stored else 0))

    def start_paused(self) -> None:
        """Start the domain's QEMU, with the guest's processors still stopped."""
        with self._doing("start"):
            self._handle.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

    def resume(self) -> None:
        """Let the guest's processors run."""
        with self._doing("resume"):
            self._handle.resume()

    def shut_down(self) -> None:
        """Ask the guest to shut down, as a short press on the power button does."""
        with self._doing("shut down"):
            self._handle.shutdown()

    def reboot(self) -> None:
        """Ask the guest to reboot."""
        with self._doing("reboot"):
            self._handle.reboot()

    def reset(self) -> None:
        """Reset the machine at once, as the reset button does."""
        with self._doing("reset"):
            self._handle.reset()

    def destroy(self) -> None:
        """Pull the plug; a domain that is off already stays so."""
        with suppress(Conflict, NotFound), self._doing("power off"):
            self._handle.destroy()

    def undefine(self) -> None:
        """Remove the domain with its nvram, managed save and snapshots; gone already is fine."""
        flags = (
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        )
        with suppress(NotFound), self._doing("undefine"):
            self._handle.undefineFlags(flags)

    def addresses(self, *, agent: bool) -> dict[str, tuple[str, ...]]:
        """Return IP addresses by MAC address, as guest agent, leases and ARP table tell them.

        `agent` says whether the guest's agent is connected; without, asking it would only wait.
        """
        sources = [
            libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
            libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
        ]
        if agent:
            sources.insert(0, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        found: dict[str, dict[str, None]] = {}
        for source in sources:
            # Each source is a bonus: one that cannot answer says nothing about the others.
            with suppress(libvirt.libvirtError):
                for interface in (self._handle.interfaceAddresses(source) or {}).values():
                    addresses = [a["addr"] for a in interface["addrs"] or ()]
                    mac = (interface["hwaddr"] or "").lower()
                    found.setdefault(mac, {}).update(dict.fromkeys(addresses))
        return {mac: tuple(addresses) for mac, addresses in found.items()}

    def screenshot(self) -> bytes:
        """Return a picture of the first screen, in a format of QEMU's choice."""
        with self._doing("take a picture of"):
            stream = self._handle.connect().newStream()
            self._handle.screenshot(stream, 0)
            picture = bytearray()
            while piece := stream.recv(2**16):
                picture += piece
            stream.finish()
        return bytes(picture)

    def console(self) -> "Console":
        """Open the serial console; raise Conflict when somebody else has it open."""
        with self._doing("open the console of"):
            stream = self._handle.connect().newStream()
            self._handle.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_SAFE)
        return Console(stream)

    def set_metadata(self, element: str, uri: str, key: str) -> None:
        """Replace our element in the domain's metadata, stored and running."""
        kind, stored = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_CONFIG
        if self.active:
            both = stored | libvirt.VIR_DOMAIN_AFFECT_LIVE
            # Refused when it has just stopped; what is stored is then all there is.
            with suppress(Conflict), self._doing("write metadata of"):
                self._handle.setMetadata(kind, element, key, uri, both)
                return
        with self._doing("write metadata of"):
            self._handle.setMetadata(kind, element, key, uri, stored)


class Console:
    """An open serial console."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def receive(self, size: int) -> bytes:
        """Return what the guest wrote, at most `size` bytes; nothing once it has stopped."""
        try:
            return bytes(self._stream.recv(size))
        except libvirt.libvirtError:
            return b""

    def send(self, data: bytes) -> None:
        """Send what was typed."""
        with translated("cannot write to the console"):
            while data:
                data = data[self._stream.send(data) :]

    def close(self) -> None:
        """Close the console; the host goes on."""
        with suppress(libvirt.libvirtError):
            self._stream.abort()


class NetworkHandle:
    """A network in libvirt."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name: str = handle.name()

    def _doing(self, verb: str) -> Any:
        return translated(f"cannot {verb} network {self.name!r}")

    @property
    def active(self) -> bool:
        """Tell whether hosts can use the network now."""
        with self._doing("look at"):
            return bool(self._handle.isActive())

    def row(self) -> Network:
        """Return the network's line of the list."""
        with self._doing("read"):
            return Network(
                name=self.name,
                state="active" if self._handle.isActive() else "inactive",
                autostart=_yes_no(self._handle.isPersistent() and self._handle.autostart()),
                persistent=_yes_no(self._handle.isPersistent()),
            )

    def xml(self) -> str:
        """Return the network's XML."""
        with self._doing("read"):
            return str(self._handle.XMLDesc())

    def start(self) -> None:
        """Make the network active."""
        with self._doing("start"):
            self._handle.create()

    def set_autostart(self) -> None:
        """Have libvirtd start the network at its own start."""
        with self._doing("set autostart of"):
            self._handle.setAutostart(1)

    def stop(self) -> None:
        """Make the network inactive; one that is so already, or has gone, is fine."""
        with suppress(Conflict, NotFound), self._doing("stop"):
            self._handle.destroy()

    def undefine(self) -> None:
        """Remove the network; gone already is fine (a transient one goes when it stops)."""
        with suppress(NotFound), self._doing("undefine"):
            self._handle.undefine()


class Pool:
    """A storage pool in libvirt."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name: str = handle.name()

    def _doing(self, verb: str) -> Any:
        return translated(f"cannot {verb} pool {self.name!r}")

    @property
    def active(self) -> bool:
        """Tell whether the pool's volumes can be used now."""
        with self._doing("look at"):
            return bool(self._handle.isActive())

    def xml(self) -> str:
        """Return the pool's XML."""
        with self._doing("read"):
            return str(self._handle.XMLDesc())

    def start(self) -> None:
        """Build the pool's target and make it active, now and at libvirtd's own start."""
        with self._doing("start"):
            self._handle.build()
            self._handle.setAutostart(1)
        with suppress(Conflict), self._doing("start"):
            self._handle.create()

    def create_volume(self, name: str, xml: str) -> "Volume":
        """Make a volume; raise Conflict when it exists, NoSpace when the pool is full."""
        with translated(f"cannot create volume {name!r} in pool {self.name!r}"):
            return Volume(self._handle.createXML(xml))

    def volume(self, name: str) -> "Volume":
        """Look up a volume by name; raise NotFound."""
        with translated(f"cannot look up volume {name!r} in pool {self.name!r}"):
            return Volume(self._handle.storageVolLookupByName(name))

    def volume_names(self) -> list[str]:
        """Return the names of the pool's volumes."""
        with self._doing("list"):
            return [volume.name() for volume in self._handle.listAllVolumes()]

    def has_volume(self, name: str) -> bool:
        """Tell whether the pool has a volume of this name."""
        with suppress(NotFound):
            self.volume(name)
            return True
        return False


class Volume:
    """A volume of a storage pool."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name: str = handle.name()

    @property
    def path(self) -> str:
        """Return the path of the file or device."""
        with translated(f"cannot look at volume {self.name!r}"):
            return str(self._handle.path())

    @property
    def is_block(self) -> bool:
        """Tell whether the volume is a block device, not a file."""
        with translated(f"cannot look at volume {self.name!r}"):
            return bool(self._handle.info()[0] == libvirt.VIR_STORAGE_VOL_BLOCK)

    @property
    def capacity(self) -> float:
        """Return the size that a guest sees, in GiB."""
        with translated(f"cannot look at volume {self.name!r}"):
            return int(self._handle.info()[1]) / 2**30

    def delete(self) -> None:
        """Remove the volume and what is in it; gone already is fine."""
        with suppress(NotFound), translated(f"cannot delete volume {self.name!r}"):
            self._handle.delete()


def _state(state: int, reason: int) -> str:
    # A QEMU that was killed leaves "shut off" with the reason "crashed".
    if state == libvirt.VIR_DOMAIN_SHUTOFF and reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
        return "crashed"
    return _STATES[state]


def _yes_no(value: object) -> str:
    return "yes" if value else "no"


def _not_found(kind: str, name: str, known: Iterable[str]) -> NotFound:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; 'shctl {kind}s list' shows all"
    return NotFound(f"no {kind} {name!r}{'' if kind == 'pool' and not near else hint}")
