"""Build the element of a disk; pure, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from shctl.common import names


@dataclass(frozen=True)
class Ceph:
    """A Ceph cluster: its monitors as (name, port), and the secret for access to it.

    libvirt identifies the secret by its UUID, in `secret`, or by its `usage`.
    """

    monitors: tuple[tuple[str, str | None], ...]
    user: str | None = None
    secret: str | None = None
    usage: str | None = None


@dataclass(frozen=True)
class Source:
    """Where a disk's bytes are: a file or a block device."""

    path: str
    is_block: bool = False
    ceph: Ceph | None = None


@dataclass(frozen=True)
class Place:
    """Where a disk is attached: a SCSI controller by its index, and the disk's unit on it."""

    controller: int
    unit: int


def build(host: str, target: str, source: Source, place: Place) -> etree._Element:
    """Return the element of a disk; its serial and WWN follow from the names."""
    kind = "network" if source.ceph else "block" if source.is_block else "file"
    disk = etree.Element("disk", type=kind, device="disk")
    # Without a type QEMU would probe it, from bytes that the guest can write.
    etree.SubElement(disk, "driver", name="qemu", type="raw", discard="unmap")
    if source.ceph:
        element = etree.SubElement(disk, "source", protocol="rbd", name=source.path)
        _add_ceph(element, source.ceph)
    else:
        etree.SubElement(disk, "source", {"dev" if source.is_block else "file": source.path})
    etree.SubElement(disk, "target", dev=target, bus="scsi")
    etree.SubElement(disk, "serial").text = names.serial(host, target)
    etree.SubElement(disk, "wwn").text = names.wwn(host, target)
    # By default libvirt puts seven disks on this controller, and others on one that not every
    # Linux has a driver for.
    given = {"controller": str(place.controller), "bus": "0", "target": "0"}
    etree.SubElement(disk, "address", {"type": "drive", **given, "unit": str(place.unit)})
    return disk


def _add_ceph(source: etree._Element, ceph: Ceph) -> None:
    for name, port in ceph.monitors:
        etree.SubElement(source, "host", {"name": name} | ({"port": port} if port else {}))
    named = {"uuid": ceph.secret, "usage": ceph.usage}
    given = {key: value for key, value in named.items() if value}
    if ceph.user and given:
        auth = etree.SubElement(source, "auth", username=ceph.user)
        etree.SubElement(auth, "secret", {"type": "ceph", **given})
