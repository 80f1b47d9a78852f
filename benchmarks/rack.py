"""The hosts and networks on the temporary hypervisor."""

import os
import sys
from pathlib import Path
from typing import Any

import libvirt

from shctl.common import defaults, names
from shctl.hosts import console_log
from shctl.hypervisor.connection import Hypervisor
from shctl.networks import manage
from shctl.storage import volumes
from shctl.xml import domain
from shctl.xml.disk_device import Source
from shctl.xml.metadata import Metadata, OwnedVolume

ROOT = Path(__file__).parents[1]
URI = "qemu:///system"
SHCTL = str(Path(sys.executable).with_name("shctl"))
# Emulated everywhere: machines differ in whether they have KVM.
VIRT_TYPE = "qemu"
NETWORK = "net10"
_FIRST_TAG = 10


class Rack:
    """The hypervisor, through shctl's own modules and through libvirt without them."""

    def __init__(self) -> None:
        if "SHCTL_THROWAWAY" not in os.environ:
            raise SystemExit("run `make bench`")
        libvirt.registerErrorHandler(lambda *_: None, None)
        self.hypervisor = Hypervisor(URI)
        self.bare: Any = libvirt.open(URI)

    def add_networks(self, count: int) -> None:
        """Make networks with tags of their own on the bridge br0."""
        for tag in range(_FIRST_TAG, _FIRST_TAG + count):
            manage.create(self.hypervisor, manage.Wanted(f"net{tag}", "br0", (tag,)))

    def fill(self, count: int) -> None:
        """Define hosts with one disk each until this number is reached."""
        for number in range(len(self.hypervisor.hosts()), count):
            self.hypervisor.reserve(self.xml(f"host{number:04}"))

    def xml(self, name: str, *, logged: bool = True) -> str:
        """Return the XML of a host as shctl makes it, and make its volume."""
        volume = names.volume(name, "sda")
        pool = volumes.open_pool(self.hypervisor, defaults.POOL)
        path = volumes.create_volume(pool, volume, 1).path
        owned = (OwnedVolume(defaults.POOL, volume),)
        log = console_log.log_path(name)
        if logged:
            console_log.prepare_log(log)
        return domain.build(
            domain.Spec(
                name=name, hardware=domain.Hardware(128, 1, "bios", "qemu"), networks=(NETWORK,),
                disks=(Source(path),), console=str(log),
                metadata=Metadata("2024-01-01T00:00:00Z", volumes=owned),
            )
        )  # fmt: skip

    def remove(self, *hosts: str) -> None:
        """Remove hosts of any program, with their volumes."""
        for name in hosts:
            host = self.bare.lookupByName(name)
            paths = _disks(host.XMLDesc())
            if host.isActive():
                host.destroy()
            if host.isPersistent():
                host.undefine()
            for path in paths:
                _remove_disk(self.bare, path)


def _disks(xml: str) -> list[str]:
    return [row.path for row in domain.read(xml).disks if row.path]


def _remove_disk(connection: Any, path: str) -> None:
    try:
        connection.storageVolLookupByPath(path).delete()
    except libvirt.libvirtError:
        Path(path).unlink(missing_ok=True)
