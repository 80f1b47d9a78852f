"""Build and read domain XML (https://libvirt.org/formatdomain.html); pure, no I/O."""

import re
from dataclasses import dataclass

from lxml import etree

from shctl.common import names
from shctl.xml import disk_device, disks, hardware, interfaces, metadata
from shctl.xml.disk_device import Place, Source
from shctl.xml.disks import DiskRow
from shctl.xml.interfaces import InterfaceRow
from shctl.xml.metadata import Metadata
from shctl.xml.parsing import parse

GUEST_AGENT = "org.qemu.guest_agent.0"


@dataclass(frozen=True)
class Installer:
    """How an installer boots: a kernel and an initrd with a command line, or the network.

    `cd` is the path of a CD with answers.
    """

    kernel: str | None = None
    initrd: str | None = None
    cmdline: str = ""
    cd: str | None = None


@dataclass(frozen=True)
class Hardware:
    """Hardware of a new host, by the names of the options of `hosts create`; `memory` in MiB.

    `firmware` is bios or uefi; `virt_type` is kvm or qemu, in a request also auto. A new field
    needs an option and its XML here: what is in between passes this object on.
    """

    memory: int
    cpus: int
    firmware: str
    virt_type: str


@dataclass(frozen=True)
class Spec:
    """The target of a creation; `console` is the path of the serial console's log.

    With `installer` it describes the one boot that installs the host.
    """

    name: str
    hardware: Hardware
    networks: tuple[str, ...]
    disks: tuple[Source, ...]
    console: str
    metadata: Metadata
    uuid: str | None = None
    installer: Installer | None = None


@dataclass(frozen=True)
class DomainInfo:
    """What shctl reads from a domain's XML; `memory` and `max_memory` in MiB.

    `installer` says that this is the definition for the boot that installs the host, `active` that
    it had a QEMU process, `copied` that its metadata was copied from another domain. `vnc` is the
    address of its VNC server as host:port, while it is active.
    """

    memory: int
    max_memory: int
    cpus: int
    max_cpus: int
    firmware: str
    virt_type: str
    disks: tuple[DiskRow, ...]
    interfaces: tuple[InterfaceRow, ...]
    console: str | None
    vnc: str | None
    metadata: Metadata | None
    installer: bool
    agent: bool
    active: bool
    copied: bool


def build(spec: Spec) -> str:
    """Return the XML of a host that boots from disk, then network; or of its installer."""
    hardware = spec.hardware
    root = etree.Element("domain", type=hardware.virt_type)
    _text(root, "name", spec.name)
    if spec.uuid:
        _text(root, "uuid", spec.uuid)
    _add(root, "metadata").append(metadata.build(spec.metadata))
    _text(root, "memory", str(hardware.memory), unit="MiB")
    _text(root, "vcpu", str(hardware.cpus))
    _add_boot(root, hardware, spec.installer)
    features = _add(root, "features")
    _add(features, "acpi")
    _add(features, "apic")
    # Without KVM, QEMU cannot pass the host's processor through.
    _add(root, "cpu", mode="host-passthrough" if hardware.virt_type == "kvm" else "maximum")
    _add(root, "clock", offset="utc")
    # To destroy means to end QEMU; the definition stays.
    _text(root, "on_poweroff", "destroy")
    # A reboot must not start the installer again; it has to end QEMU as a power-off does.
    _text(root, "on_reboot", "destroy" if spec.installer else "restart")
    _text(root, "on_crash", "destroy")
    _add_devices(root, spec)
    return etree.tostring(root, encoding="unicode")


def _add_boot(root: etree._Element, hardware: Hardware, installer: Installer | None) -> None:
    system = _add(root, "os")
    _text(system, "type", "hvm", arch="x86_64", machine="q35")
    if hardware.firmware == "uefi":
        add_uefi(system)
    else:
        add_bios(system)
    if installer and installer.kernel:
        _text(system, "kernel", installer.kernel)
        _text(system, "initrd", installer.initrd or "")
        _text(system, "cmdline", installer.cmdline)
    for device in ("network", "hd") if installer else ("hd", "network"):
        _add(system, "boot", dev=device)


def add_bios(system: etree._Element) -> None:
    """Have SeaBIOS, and iPXE through it, write to the serial console too; OVMF does so by itself.

    A server does the same for serial over LAN.
    """
    _add(system, "bios", useserial="yes")


def add_uefi(system: etree._Element) -> None:
    """Have libvirt choose a UEFI firmware, in a domain's element <os>."""
    system.set("firmware", "efi")
    # Secure boot would refuse the unsigned kernels of many installers.
    _add(_add(system, "firmware"), "feature", enabled="no", name="secure-boot")


def _add_devices(root: etree._Element, spec: Spec) -> None:
    devices = _add(root, "devices")
    # SCSI disks have WWNs and serial numbers; virtio-blk has only the latter.
    _add(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    for index, source in enumerate(spec.disks):
        target, place = names.disk_target(index), Place(0, index)
        devices.append(disk_device.build(spec.name, target, source, place))
    if spec.installer and spec.installer.cd:
        _add_cd(devices, spec.installer.cd)
    for index, network in enumerate(spec.networks):
        _add_interface(devices, network, names.mac(spec.name, index))
    _add_console(devices, spec.console)
    # libvirt chooses the path of the socket.
    channel = _add(devices, "channel", type="unix")
    _add(channel, "target", type="virtio", name=GUEST_AGENT)
    _text(_add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    # Only on this machine, since the VNC server has no password.
    _add(devices, "graphics", type="vnc", port="-1", autoport="yes", listen="127.0.0.1")
    _add(_add(devices, "video"), "model", type="vga")


def _add_cd(devices: etree._Element, path: str) -> None:
    """Add a CD drive to the SCSI controller, as a second target behind it.

    Not on SATA: Debian's cloud kernel has no driver for that.
    """
    drive = _add(devices, "disk", type="file", device="cdrom")
    _add(drive, "driver", name="qemu", type="raw")
    _add(drive, "source", file=path)
    # Its name here has to differ from those of the disks; a guest calls it sr0.
    _add(drive, "target", dev="sdzz", bus="scsi")
    _add(drive, "readonly")
    _add(drive, "address", type="drive", controller="0", bus="0", target="1", unit="0")


def _add_interface(devices: etree._Element, network: str, mac: str) -> None:
    interface = _add(devices, "interface", type="network")
    _add(interface, "mac", address=mac)
    _add(interface, "source", network=network)
    _add(interface, "model", type="virtio")


def _add_console(devices: etree._Element, path: str) -> None:
    serial = _add(devices, "serial", type="pty")
    # virtlogd writes the file, also without a client and while libvirtd restarts.
    _add(serial, "log", file=path, append="on")
    _add(serial, "target", type="isa-serial", port="0")
    _add(_add(devices, "console", type="pty"), "target", type="serial", port="0")


def mentions(xml: str, text: str) -> bool:
    """Return whether XML may contain a text, without parsing it; only False is certain."""
    # Without the characters that libvirt may write as entities.
    return max(re.split("[&<>'\"]", text), key=len) in xml


def read(xml: str) -> DomainInfo:
    """Return what shctl needs from the XML of any domain."""
    root = parse(xml)
    active = root.get("id") is not None
    memory, max_memory = hardware.memory(root)
    cpus, max_cpus = hardware.cpus(root)
    return DomainInfo(
        memory=memory,
        max_memory=max_memory,
        cpus=cpus,
        max_cpus=max_cpus,
        firmware=_firmware(root),
        virt_type=root.get("type", ""),
        disks=disks.read(root),
        interfaces=interfaces.read(root),
        console=hardware.console_log(root),
        # A domain that is off may have the port of its next start.
        vnc=hardware.vnc(root) if active else None,
        metadata=metadata.read(root),
        installer=root.findtext("on_reboot") == "destroy",
        agent=root.find(f"devices/channel/target[@name='{GUEST_AGENT}'][@state='connected']")
        is not None,
        active=active,
        copied=metadata.is_copy(root),
    )


def _firmware(root: etree._Element) -> str:
    loader = root.find("os/loader")
    flash = loader is not None and loader.get("type") == "pflash"
    return "uefi" if flash or root.find("os[@firmware='efi']") is not None else "bios"


def _add(
    parent: etree._Element, tag: str, attributes: dict[str, str] | None = None, **more: str
) -> etree._Element:
    return etree.SubElement(parent, tag, {**(attributes or {}), **more})


def _text(parent: etree._Element, tag: str, text: str, **attributes: str) -> None:
    _add(parent, tag, attributes).text = text
