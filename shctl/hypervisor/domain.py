"""Wrappers around libvirt's domains and their consoles.

Each command looks its domains up: an object of a lost connection never works again.
"""

from contextlib import suppress
from typing import Any

from shctl.common.errors import Conflict, NotFound, ShctlError
from shctl.common.states import DomainState, Reason
from shctl.hypervisor.binding import api, receive, translated
from shctl.hypervisor.state_names import domain_state, reason_name

AGENT = 5  # seconds to wait for the guest agent
HUNG = 1000  # milliseconds after which a call of libvirt to QEMU counts as hung


class Domain:
    """A host's domain in libvirt."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name: str = handle.name()
        self.uuid: str = handle.UUIDString()

    def _doing(self, verb: str) -> Any:
        return translated(f"cannot {verb} host {self.name!r}")

    @property
    def state(self) -> DomainState:
        """Return the domain's state; raise NotFound if it was deleted."""
        return self.state_and_reason[0]

    @property
    def state_and_reason(self) -> tuple[DomainState, str | None]:
        """Return the state and its reason, read in one call; the reason is None if unknown."""
        with self._doing("read the state of"):
            state, reason = self._handle.state()
        return domain_state(state, reason), reason_name(state, reason)

    @property
    def stop_reason(self) -> str:
        """Return how the domain's last QEMU ended: shutdown, destroyed, crashed, unknown, ..."""
        with self._doing("read the state of"):
            state, reason = self._handle.state()
        reason_text = reason_name(state, reason) if state == api.VIR_DOMAIN_SHUTOFF else None
        return reason_text or Reason.UNKNOWN

    @property
    def active(self) -> bool:
        """Return whether the domain has a QEMU process."""
        with self._doing("read"):
            return bool(self._handle.isActive())

    @property
    def hung(self) -> bool:
        """Return whether another call has waited for the domain's QEMU longer than HUNG."""
        with suppress(Conflict), self._doing("read"):  # Conflict: it is off
            state, _, since = self._handle.controlInfo()
            return bool(state == api.VIR_DOMAIN_CONTROL_OCCUPIED and since > HUNG)
        return False

    def open_disks(self) -> list[str]:
        """Return the paths of QEMU's disks and their backing files, without waiting for QEMU."""
        flags = (
            api.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
            | api.VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING
        )
        with self._doing("read the disks of"):
            connection, kind = self._handle.connect(), api.VIR_DOMAIN_STATS_BLOCK
            stats = connection.domainListGetStats([self._handle], kind, flags)[0][1]
        return [path for name, path in stats.items() if name.endswith(".path")]

    @property
    def persistent(self) -> bool:
        """Return whether the domain is persistent, so that it exists without a QEMU process."""
        with self._doing("read"):
            return bool(self._handle.isPersistent())

    @property
    def autostart(self) -> bool:
        """Return whether libvirtd starts the host when it starts itself."""
        with self._doing("read"):
            return bool(self._handle.autostart())

    def set_autostart(self, autostart: bool) -> None:
        """Set whether libvirtd starts the host when it starts itself."""
        with self._doing("set autostart of"):
            self._handle.setAutostart(int(autostart))
        # libvirt 9.0 reports success if it cannot write to its directory.
        if self.autostart != autostart:
            raise ShctlError(
                f"cannot set autostart of host {self.name!r}: libvirt did not store it; see the"
                " log of libvirtd"
            )

    def xml(self, *, stored: bool = False) -> str:
        """Return the XML of the running domain, or the one stored for its next start."""
        with self._doing("read"):
            return str(self._handle.XMLDesc(api.VIR_DOMAIN_XML_INACTIVE if stored else 0))

    def definition(self) -> str:
        """Return the stored XML to define again; it has passwords, so never show or log it."""
        with self._doing("read"):
            flags = api.VIR_DOMAIN_XML_INACTIVE | api.VIR_DOMAIN_XML_SECURE
            return str(self._handle.XMLDesc(flags))

    @property
    def is_saved(self) -> bool:
        """Return whether `virsh managedsave` saved the domain, which then resumes as it was."""
        with self._doing("read"):
            return bool(self._handle.hasManagedSaveImage())

    def saved_xml(self) -> str | None:
        """Return the XML that a domain saved by `virsh managedsave` resumes with, None without."""
        with self._doing("read the saved state of"):
            if self._handle.isActive() or not self._handle.hasManagedSaveImage():
                return None
            return str(self._handle.managedSaveGetXMLDesc())

    def snapshots(self) -> list[str]:
        """Return the XML of the domain's snapshots."""
        with self._doing("list the snapshots of"):
            return [str(found.getXMLDesc()) for found in self._handle.listAllSnapshots()]

    def plug_cpus(self, number: int) -> None:
        """Give the running domain more processors, up to its maximum."""
        with self._doing("add processors to"):
            self._handle.setVcpusFlags(number, api.VIR_DOMAIN_AFFECT_LIVE)

    def attach(self, device: str) -> None:
        """Add a device to the running domain; the stored definition stays as it is."""
        with self._doing("add a device to"):
            self._handle.attachDeviceFlags(device, api.VIR_DOMAIN_AFFECT_LIVE)

    def update(self, device: str) -> None:
        """Change a device of the running domain; the stored definition stays as it is."""
        with self._doing("change a device of"):
            self._handle.updateDeviceFlags(device, api.VIR_DOMAIN_AFFECT_LIVE)

    def detach(self, device: str) -> None:
        """Ask the guest to release a device; it may do so later, or never."""
        with self._doing("remove a device from"):
            self._handle.detachDeviceFlags(device, api.VIR_DOMAIN_AFFECT_LIVE)

    def block_size(self, target: str) -> int:
        """Return the size in bytes of a disk as QEMU has it."""
        with self._doing(f"read the size of disk {target!r} of"):
            return int(self._handle.blockInfo(target)[0])

    def block_resize(self, target: str, size: int) -> None:
        """Have QEMU enlarge a disk's image to `size` bytes, and report it to the guest."""
        with self._doing(f"resize disk {target!r} of"):
            self._handle.blockResize(target, size, api.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

    def start_paused(self) -> None:
        """Start the domain's QEMU, with the guest's processors still stopped."""
        with self._doing("start"):
            self._handle.createWithFlags(api.VIR_DOMAIN_START_PAUSED)

    def resume(self) -> None:
        """Let the guest's processors run."""
        with self._doing("resume"):
            self._handle.resume()

    def wake(self) -> None:
        """Wake up a guest that is asleep (ACPI S3)."""
        with self._doing("wake"):
            self._handle.pMWakeup()

    def disk_errors(self) -> dict[str, bool]:
        """Return the disks that QEMU could not write or read, and whether space was missing."""
        with self._doing("read the disks of"):
            errors = self._handle.diskErrors()
        return {name: why == api.VIR_DOMAIN_DISK_ERROR_NO_SPACE for name, why in errors.items()}

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
        """Power off at once; nothing happens if the domain is off."""
        with suppress(Conflict, NotFound), self._doing("power off"):
            self._handle.destroy()

    def undefine(self, *, nvram: bool) -> None:
        """Remove the domain, its managed save and snapshot metadata, unless it is already gone.

        With `nvram` the file of its UEFI variables is removed too, even if it is not the default.
        """
        flags = (
            api.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | api.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | api.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | (api.VIR_DOMAIN_UNDEFINE_NVRAM if nvram else api.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
        )
        with suppress(NotFound), self._doing("undefine"):
            self._handle.undefineFlags(flags)

    def addresses(self, *, agent: bool) -> dict[str, tuple[str, ...]]:
        """Return IP addresses by MAC address, from guest agent, DHCP leases and ARP table.

        `agent` says that the guest agent is connected; otherwise a call to it would only time out.
        """
        sources = [
            api.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
            api.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
        ]
        if agent:
            sources.insert(0, api.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
            # By default libvirt waits without limit for an agent.
            with suppress(ShctlError), self._doing("set the agent timeout of"):
                self._handle.agentSetResponseTimeout(AGENT, 0)
        found: dict[str, dict[str, None]] = {}
        for source in sources:
            # Any source may fail, and the others still count.
            with suppress(ShctlError), self._doing("read the addresses of"):
                for interface in (self._handle.interfaceAddresses(source) or {}).values():
                    addresses = [a["addr"] for a in interface["addrs"] or ()]
                    mac = (interface["hwaddr"] or "").lower()
                    found.setdefault(mac, {}).update(dict.fromkeys(addresses))
        return {mac: tuple(addresses) for mac, addresses in found.items()}

    def screenshot(self) -> bytes:
        """Return a screenshot of the first screen, in a format that QEMU chooses."""
        with self._doing("take a screenshot of"):
            return receive(
                self._handle.connect(), lambda stream: self._handle.screenshot(stream, 0)
            )

    def console(self) -> "Console":
        """Open the serial console; raise Conflict if it is already open."""
        with self._doing("open the console of"):
            stream = self._handle.connect().newStream()
            self._handle.openConsole(None, stream, api.VIR_DOMAIN_CONSOLE_SAFE)
        return Console(stream)

    def set_metadata(self, element: str, uri: str, key: str) -> None:
        """Replace shctl's element in the metadata of the domain, stored and running."""
        kind, stored = api.VIR_DOMAIN_METADATA_ELEMENT, api.VIR_DOMAIN_AFFECT_CONFIG
        if self.active:
            both = stored | api.VIR_DOMAIN_AFFECT_LIVE
            # Refused if the domain has just stopped, so that only the stored definition is left,
            # or if it is transient.
            with suppress(Conflict), self._doing("write metadata of"):
                self._handle.setMetadata(kind, element, key, uri, both)
                return
            if not self.persistent:
                stored = api.VIR_DOMAIN_AFFECT_LIVE
        with self._doing("write metadata of"):
            self._handle.setMetadata(kind, element, key, uri, stored)


class Console:
    """An open serial console."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def receive(self, size: int) -> bytes:
        """Return at most `size` bytes that the guest wrote; no bytes after it has stopped."""
        with suppress(ShctlError), translated("cannot read the console"):
            return bytes(self._stream.recv(size))
        return b""

    def send(self, data: bytes) -> None:
        """Send input to the guest."""
        with translated("cannot write to the console"):
            while data:
                data = data[self._stream.send(data) :]

    def close(self) -> None:
        """Close the console; the host keeps running."""
        with suppress(ShctlError), translated("cannot close the console"):
            self._stream.abort()
