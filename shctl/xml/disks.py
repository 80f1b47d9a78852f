"""Read disks and their backing files from domain XML; pure, no I/O."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from shctl.xml.parsing import parse

RAW = "raw"
_BELOW = ("backingStore", "dataStore", "mirror")


@dataclass(frozen=True)
class Layer:
    """A file, device or volume of a disk, or an image that is accessed over the network.

    `path` is the name of the image where there is a `protocol`, None where there is a `volume`, by
    pool and name. `format` is None where the XML leaves it to QEMU. `complete` says that all the
    backing files of its disk are in the XML.
    """

    path: str | None
    volume: tuple[str, str] | None = None
    protocol: str | None = None
    format: str | None = None
    complete: bool = False


@dataclass(frozen=True)
class DiskRow:
    """A disk in a domain's XML.

    `removable` is False for a disk that is shared or read-only.
    `monitors` are those of a Ceph cluster, as (name, port). `format` is None where QEMU probes it.
    """

    target: str
    path: str | None
    volume: tuple[str, str] | None = None
    protocol: str | None = None
    monitors: tuple[tuple[str, str | None], ...] = ()
    removable: bool = True
    format: str | None = None
    serial: str | None = None


@dataclass(frozen=True)
class UsedFiles:
    """What a domain uses: the layers of its drives, and the paths of its other files."""

    layers: tuple[Layer, ...]
    others: frozenset[str]


def read_files(xml: str) -> UsedFiles:
    """Return the files and devices in a domain's XML."""
    root = parse(xml)
    return UsedFiles(tuple(_layers(root)), frozenset(_other_files(root)))


def read(domain: etree._Element) -> tuple[DiskRow, ...]:
    """Return the disks of a domain that hold data: no CD-ROM, no floppy."""
    rows = domain.iterfind("devices/disk")
    return tuple(_row(e) for e in rows if e.get("device", "disk") in ("disk", "lun"))


def _row(disk: etree._Element) -> DiskRow:
    target, source = disk.find("target"), disk.find("source")
    top = _layer(source, disk.find("driver"), complete=False)
    hosts = () if source is None else source.iterfind("host")
    return DiskRow(
        target="" if target is None else target.get("dev", ""),
        path=top.path,
        volume=top.volume,
        protocol=top.protocol,
        monitors=tuple((e.get("name", ""), e.get("port")) for e in hosts),
        removable=disk.find("readonly") is None and disk.find("shareable") is None,
        format=top.format,
        serial=disk.findtext("serial"),
    )


def _layers(domain: etree._Element) -> Iterator[Layer]:
    """Yield the images of a domain's drives, CD-ROMs too, and the backing files in the XML."""
    for disk in domain.iterfind("devices/disk"):
        complete = _is_complete(disk)
        yield _layer(disk.find("source"), disk.find("driver"), complete=complete)
        for element in disk.iter(*_BELOW):
            yield _layer(element.find("source"), element.find("format"), complete=complete)


def read_snapshot(xml: str) -> Iterator[Layer]:
    """Yield the images of an external snapshot, from libvirt's XML."""
    for disk in parse(xml).iterfind("disks/disk[@snapshot='external']"):
        yield _layer(disk.find("source"), disk.find("driver"), complete=False)


def _layer(source: etree._Element | None, kind: etree._Element | None, *, complete: bool) -> Layer:
    given = {str(k): str(v) for k, v in ({} if source is None else source.attrib).items()}
    named = (given.get("pool", ""), given["volume"]) if given.get("volume") else None
    return Layer(
        path=next(filter(None, map(given.get, ("file", "dev", "dir", "name"))), None),
        volume=named,
        protocol=given.get("protocol"),
        # QEMU presents a directory as a file system; there is no image.
        format=RAW if "dir" in given else kind.get("type") if kind is not None else None,
        complete=complete,
    )


def _is_complete(disk: etree._Element) -> bool:
    """Return whether the chain of backing files ends in an empty element, as libvirt writes it."""
    below: etree._Element | None = disk
    while below is not None:
        if below.tag == "backingStore" and not len(below) and not below.get("type"):
            return True
        below = below.find("backingStore")
    return False


def _other_files(domain: etree._Element) -> set[str]:
    """Return the paths of files and devices that a domain uses for anything but a drive.

    Any text that may be a path counts: memory, firmware, and options that are passed to QEMU.
    """
    parts = [e for e in domain if e.tag not in ("metadata", "devices")]
    parts += [e for e in domain.iterfind("devices/*") if e.tag != "disk"]
    found: set[str] = set()
    for element in (e for part in parts for e in part.iter(etree.Element)):
        for value in (element.text or "", *map(str, element.attrib.values())):
            # As in -drive file=/a/b,format=raw
            found.update((value.strip(), *re.split("[=,]", value)) if "/" in value else ())
    return {path for path in found if path.startswith("/")}
