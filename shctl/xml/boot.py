"""Read what a domain boots: kernel, boot order, disks, UEFI variables; pure, no I/O."""

import re
from dataclasses import dataclass

from lxml import etree

from shctl.xml.parsing import parse

_LAST = 10**9  # sorts disks without a boot order last
_DISKS = ("disk", "lun")  # kinds of <disk> that are neither CD-ROM nor floppy


@dataclass(frozen=True)
class BootInfo:
    """`kernel` is "" without one, `first_device` as in <boot dev=...>: hd, network, cdrom, ..."""

    kernel: str
    on_reboot: str
    first_device: str


@dataclass(frozen=True)
class BootDisk:
    """A disk: its path, or its pool and the name of its volume; `raw` says that bytes are as is."""

    target: str
    raw: bool
    path: str | None
    pool: str | None
    volume: str | None


def read(xml: str) -> BootInfo:
    """Return what a domain boots."""
    root = parse(xml)
    return BootInfo(
        kernel=root.findtext("os/kernel") or "",
        on_reboot=root.findtext("on_reboot", "restart"),  # libvirt's default
        first_device=_first_device(root),
    )


def _first_device(root: etree._Element) -> str:
    devices = root.findall("os/boot")
    if devices:
        return str(devices[0].get("dev"))
    # libvirt accepts either <os><boot> or the devices' own <boot order=...>, not both.
    ordered = [e for e in root.iterfind("devices/*[boot]") if _order(e)]
    if not ordered:
        return "hd"  # libvirt's default
    first = min(ordered, key=_order)
    if first.tag != "disk":
        return "network" if first.tag == "interface" else str(first.tag)
    device = first.get("device", "disk")
    return "hd" if device in _DISKS else device


def _order(element: etree._Element) -> int:
    """Return the number in a device's `<boot order=...>`, 0 without one."""
    boot = element.find("boot")
    text = boot.get("order", "") if boot is not None else ""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def read_disks(xml: str) -> list[BootDisk]:
    """Return a domain's disks in boot order."""
    devices = parse(xml).iterfind("devices/disk")
    disks = [e for e in devices if e.get("device", "disk") in _DISKS]
    return [_disk(e) for e in sorted(disks, key=lambda e: _order(e) or _LAST)]


def _disk(element: etree._Element) -> BootDisk:
    target, source, driver = (element.find(tag) for tag in ("target", "source", "driver"))
    # libvirt accepts <encryption> in <disk> and in <source>.
    plain = element.find(".//encryption") is None
    attributes = {} if source is None else {str(k): str(v) for k, v in source.items()}
    return BootDisk(
        target="" if target is None else target.get("dev", ""),
        raw=plain and driver is not None and driver.get("type") == "raw",
        path=attributes.get("file") or attributes.get("dev") or attributes.get("name"),
        pool=attributes.get("pool"),
        volume=attributes.get("volume"),
    )


def read_nvram(xml: str) -> str | None:
    """Return the path of the file of UEFI variables, None if the XML has none."""
    # Parsing takes most of the time, and few domains have such a file.
    element = parse(xml).find("os/nvram") if "<nvram" in xml else None
    if element is None:
        return None
    source = element.find("source")
    # libvirt 8.5 and later may write a <source> element instead of text.
    paths = [] if source is None else [source.get("file"), source.get("dev")]
    return next(filter(None, [*paths, (element.text or "").strip()]), None)
