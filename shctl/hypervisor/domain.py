"""Wrappers around libvirt's domains and their consoles.

Each command looks its domains up: an object of a lost connection never works again.
"""

from contextlib import suppress
from typing import Any

from shctl.common.errors import Conflict, NotFound, ShctlError
from shctl.common.states import DomainState, Reason
from shctl.hypervisor.binding import api, receive, translated
from shctl.hypervisor.states import domain_state, reason_name

AGENT = 5  # seconds that a guest's agent may take for an answer
HUNG = 1000  # milliseconds that QEMU may take for an answer to libvirt


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
        """Tell whether the domain has a QEMU process."""
        with self._doing("look at"):
            return bool(self._handle.isActive())

    @property
    def hung(self) -> bool:
        """Tell whether a call has been waiting for the domain's QEMU longer than any should."""
        with suppress(Conflict), self._doing("look at"):  # Conflict: it is off
            state, _, since = self._handle.controlInfo()
            return bool(state == api.VIR_DOMAIN_CONTROL_OCCUPIED and since > HUNG)
        return False

    def open_disks(self) -> list[str]:
        """Return the paths of what QEMU has as disks, backing files too, without asking it."""
        flags = (
            api.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
            | api.VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING
        )
        with self._doing("look at the disks of"):
            connection, kind = self._handle.connect(), api.VIR_DOMAIN_STATS_BLOCK
            told = connection.domainListGetStats([self._handle], kind, flags)[0][1]
        return [path for name, path in told.items() if name.endswith(".path")]

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
            return str(self._handle.XMLDesc(api.VIR_DOMAIN_XML_INACTIVE if stored else 0))

    def saved_xml(self) -> str | None:
        """Return the XML that the domain goes on with after `virsh managedsave`, None without."""
        with self._doing("look at what is saved of"):
            if self._handle.isActive() or not self._handle.hasManagedSaveImage():
                return None
            return str(self._handle.managedSaveGetXMLDesc())

    def snapshots(self) -> list[str]:
        """Return the XML of the domain's snapshots."""
        with self._doing("list the snapshots of"):
            return [str(found.getXMLDesc()) for found in self._handle.listAllSnapshots()]

    def start_paused(self) -> None:
        """Start the domain's QEMU, with the guest's processors still stopped."""
        with self._doing("start"):
            self._handle.createWithFlags(api.VIR_DOMAIN_START_PAUSED)

    def resume(self) -> None:
        """Let the guest's processors run."""
        with self._doing("resume"):
            self._handle.resume()

    def wake(self) -> None:
        """Wake a guest that sleeps (ACPI S3)."""
        with self._doing("wake"):
            self._handle.pMWakeup()

    def disk_errors(self) -> dict[str, bool]:
        """Return the disks that QEMU could not write or read, and whether space was missing."""
        with self._doing("look at the disks of"):
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
        """Pull the plug; a domain that is off already stays so."""
        with suppress(Conflict, NotFound), self._doing("power off"):
            self._handle.destroy()

    def undefine(self, *, nvram: bool) -> None:
        """Remove the domain with its managed save and snapshots; gone already is fine.

        `nvram` says whether the file with its UEFI variables goes too, whatever file that is.
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
        """Return IP addresses by MAC address, as guest agent, leases and ARP table tell them.

        `agent` says whether the guest's agent is connected; without, asking it would only wait.
        """
        sources = [
            api.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
            api.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
        ]
        if agent:
            sources.insert(0, api.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
            # By default libvirt waits for ever for an agent that has begun to answer.
            with suppress(ShctlError), self._doing("bound the agent of"):
                self._handle.agentSetResponseTimeout(AGENT, 0)
        found: dict[str, dict[str, None]] = {}
        for source in sources:
            # Each source is a bonus: one that cannot answer says nothing about the others.
            with suppress(ShctlError), self._doing("read the addresses of"):
                for interface in (self._handle.interfaceAddresses(source) or {}).values():
                    addresses = [a["addr"] for a in interface["addrs"] or ()]
                    mac = (interface["hwaddr"] or "").lower()
                    found.setdefault(mac, {}).update(dict.fromkeys(addresses))
        return {mac: tuple(addresses) for mac, addresses in found.items()}

    def screenshot(self) -> bytes:
        """Return a picture of the first screen, in a format of QEMU's choice."""
        with self._doing("take a picture of"):
            return receive(
                self._handle.connect(), lambda stream: self._handle.screenshot(stream, 0)
            )

    def console(self) -> "Console":
        """Open the serial console; raise Conflict when somebody else has it open."""
        with self._doing("open the console of"):
            stream = self._handle.connect().newStream()
            self._handle.openConsole(None, stream, api.VIR_DOMAIN_CONSOLE_SAFE)
        return Console(stream)

    def set_metadata(self, element: str, uri: str, key: str) -> None:
        """Replace our element in the domain's metadata, stored and running."""
        kind, stored = api.VIR_DOMAIN_METADATA_ELEMENT, api.VIR_DOMAIN_AFFECT_CONFIG
        if self.active:
            both = stored | api.VIR_DOMAIN_AFFECT_LIVE
            # Refused when it has just stopped, and what is stored is then all there is; or when
            # nothing is stored.
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
        """Return what the guest wrote, at most `size` bytes; nothing once it has stopped."""
        with suppress(ShctlError), translated("cannot read the console"):
            return bytes(self._stream.recv(size))
        return b""

    def send(self, data: bytes) -> None:
        """Send what was typed."""
        with translated("cannot write to the console"):
            while data:
                data = data[self._stream.send(data) :]

    def close(self) -> None:
        """Close the console; the host goes on."""
        with suppress(ShctlError), translated("cannot close the console"):
            self._stream.abort()
