"""What another program made of a host's stored definition while its installer ran.

A program that reads the running definition, changes something and stores it (VirtualBMC does)
stores the installer with it: its kernel, its boot order, its way of rebooting.
"""

import re

from lxml import etree

from shctl.common import names
from shctl.common.errors import Conflict
from shctl.hypervisor.domain import Domain
from shctl.install import boot_files
from shctl.xml import domain, metadata


def faults(xml: str) -> list[str]:
    """Return why a stored definition would not start an installed host from its disk."""
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
    """Return what is booted first: hd, network, cdrom, ..."""
    devices = root.findall("os/boot")
    if devices:
        return str(devices[0].get("dev"))
    ordered = [e for e in root.iterfind("devices/*[boot]") if order(e)]
    if not ordered:
        return "hd"  # what libvirt takes without any
    first = min(ordered, key=order)
    if first.tag != "disk":
        return "network" if first.tag == "interface" else str(first.tag)
    device = first.get("device", "disk")
    return "hd" if device in ("disk", "lun") else device


def order(element: etree._Element) -> int:
    """Return when a device is booted by its own `<boot order=...>`, 0 for one without."""
    boot = element.find("boot")
    text = boot.get("order", "") if boot is not None else ""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def problem(host: Domain) -> str | None:
    """Say what another program did to a host whose installer runs or has ended, None for nothing.

    To be asked of a host with an open installation only: later its definition may change.
    """
    if not host.persistent:
        return (
            "another program undefined the host during its installation: it goes when it stops,"
            " and its disks stay"
        )
    if found := faults(host.xml(stored=True)):
        return (
            "another program redefined the host during its installation: as it is stored now it"
            f" {' and '.join(found)}; correct that with 'virsh edit {host.name}', then start it"
        )
    return None


def check(host: Domain, xml: str) -> None:
    """Raise Conflict for a definition that boots the host's own installer."""
    # Parsing is what costs, and hardly any host has a kernel.
    kernel = domain.parse(xml).findtext("os/kernel", "") if "<kernel>" in xml else ""
    # A host with another name has no boot files, and libvirt may well start it.
    if names.is_file_name(host.name) and kernel.startswith(f"{boot_files.directory(host.name)}/"):
        raise Conflict(
            f"host {host.name!r} would boot its installer again: another program stored the kernel"
            f" {kernel} in its definition; 'virsh edit {host.name}' removes it, with initrd and"
            " cmdline, and sets on_reboot to restart"
        )


def runs_installer(host: Domain) -> bool:
    """Tell whether what a host's QEMU runs is an installer, not the host as it is stored."""
    return host.active and domain.read(host.xml()).installer
