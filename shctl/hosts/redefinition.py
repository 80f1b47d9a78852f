"""Detect that another program redefined a host while its installer ran.

A program that reads the running definition, changes it and stores it (VirtualBMC does) also stores
the installer's kernel, boot order and on_reboot.
"""

from shctl.common import names
from shctl.common.errors import Conflict
from shctl.hypervisor.domain import Domain
from shctl.install import boot_files
from shctl.xml import boot, domain


def faults(xml: str) -> list[str]:
    """Return why a stored definition would not boot an installed host from its disk.

    Each completes "its stored definition ...".
    """
    info = boot.read(xml)
    found = []
    if info.kernel:
        found.append(f"boots the kernel {info.kernel}")
    if info.on_reboot != "restart":
        found.append("does not restart when its guest reboots (on_reboot)")
    if info.first_device != "hd":
        found.append(f"boots from {info.first_device} before its disk")
    if domain.read(xml).metadata is None:
        found.append("has lost shctl's metadata")
    return found


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
    kernel = boot.read(xml).kernel if "<kernel>" in xml else ""
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
