"""Detect that another program redefined a host while its installer ran.

A program that reads the running definition, changes it and stores it (VirtualBMC does) also stores
the installer's kernel, boot order and on_reboot.
"""

import re

from lxml import etree

from shctl.common import names
from shctl.common.errors import Conflict
from shctl.hypervisor.domain import Domain
from shctl.install import boot_files
from shctl.xml import domain, metadata


def faults(xml: str) -> list[str]:
    """Return why a stored definition would not boot an installed host from its disk.

    Each completes "its stored definition ...".
    """
    root = domain.parse(xml)
    kernel, first = root.findtext("os/kernel"), _first_device(root)
    found = []
    if kernel:
        found.append(f"boots the kernel {kernel}")
    if root.findtext("on_reboot", "restart") != "restart":
        found.append("does not restart when its guest reboots (on_reboot)")
    if first != "hd":
        found.append(f"boots from {first} before its disk")
    if metadata.read(root) is None:
        found.append("has lost shctl's metadata")
    return found


def _first_device(root: etree._Element) -> str:
    """Return the first boot device, by the names of <boot dev=...>: hd, network, cdrom, ..."""
    devices = root.findall("os/boot")
    if devices:
        return str(devices[0].get("dev"))
    # libvirt accepts either <os><boot> or the devices' own <boot order=...>, not both.
    ordered = [e for e in root.iterfind("devices/*[boot]") if order(e)]
    if not ordered:
        return "hd"  # libvirt's default
    first = min(ordered, key=order)
    if first.tag != "disk":
        return "network" if first.tag == "interface" else str(first.tag)
    device = first.get("device", "disk")
    return "hd" if device in ("disk", "lun") else device


def order(element: etree._Element) -> int:
    """Return the number in a device's `<boot order=...>`, 0 without one."""
    boot = element.find("boot")
    text = boot.get("order", "") if boot is not None else ""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def problem(host: Domain) -> str | None:
    """Describe what another program did to a host during its installation, None for nothing.

    For hosts with an open installation only: later, users may change the definition.
    """
    if not host.persistent:
        return (
            "another program undefined the host during its installation: it disappears when it"
            " stops, and its disks remain"
        )
    if found := faults(host.xml(stored=True)):
        return (
            "another program redefined the host during its installation: its stored definition"
            f" {' and '.join(found)}; fix it with 'virsh edit {host.name}', then start the host"
        )
    return None


def check(host: Domain, xml: str) -> None:
    """Raise Conflict for a definition that boots the host's own installer."""
    # Parsing takes most of the time, and few hosts have a kernel.
    kernel = domain.parse(xml).findtext("os/kernel", "") if "<kernel>" in xml else ""
    # shctl has no boot files for other names, which adopted domains may have.
    if names.is_file_name(host.name) and kernel.startswith(f"{boot_files.directory(host.name)}/"):
        raise Conflict(
            f"host {host.name!r} would boot its installer again: another program stored the kernel"
            f" {kernel} in its definition; run 'virsh edit {host.name}', remove kernel, initrd and"
            " cmdline, and set on_reboot to restart"
        )


def runs_installer(host: Domain) -> bool:
    """Return whether a host's QEMU runs an installer rather than the stored definition."""
    return host.active and domain.read(host.xml()).installer
