"""Find room for a disk in a domain's XML, and add and remove disks; pure, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from itertools import count

from lxml import etree

from shctl.common import names
from shctl.xml.disk_device import Place, Source, build
from shctl.xml.edits import edited
from shctl.xml.parsing import parse

_DISKS = "devices/disk"


def targets(xml: str) -> frozenset[str]:
    """Return the device names of all drives of a domain, CD-ROMs too."""
    return frozenset(e.get("dev", "") for e in parse(xml).iterfind(f"{_DISKS}/target"))


def find_place(texts: Iterable[str], target: str) -> Place:
    """Return a free place for a disk; `texts` are the stored XML, and the running one if any.

    The controller is the first one of virtio-scsi in the stored XML, else one that add() creates.
    The unit is that of a new host's disk of this name, else the first free one.
    """
    roots = [parse(text) for text in texts]
    known = _virtio_controllers(roots[0])
    indexes = {_number(e.get("index")) for root in roots for e in _controllers(root)}
    controller = min(known) if known else next(n for n in count() if n not in indexes)
    taken = {unit for root in roots for unit in _units(root, controller)}
    wanted = names.disk_index(target)
    return Place(controller, next(n for n in (wanted, *range(len(taken) + 1)) if n not in taken))


def add(xml: str, host: str, target: str, source: Source, place: Place) -> str:
    """Return stored XML with a new disk, and with its SCSI controller if there is none."""
    disk = build(host, target, source, place)
    return edited(xml, [partial(_add_controller, index=place.controller), partial(_append, disk)])


def _add_controller(root: etree._Element, index: int) -> None:
    if index not in _virtio_controllers(root):
        given = {"type": "scsi", "index": str(index), "model": "virtio-scsi"}
        _append(etree.Element("controller", given), root)


def _append(device: etree._Element, root: etree._Element) -> None:
    devices = root.find("devices")
    (etree.SubElement(root, "devices") if devices is None else devices).append(device)


def remove(xml: str, target: str) -> str:
    """Return stored XML without a disk; its controller stays."""
    return edited(xml, [partial(_remove, target=target)])


def _remove(root: etree._Element, target: str) -> None:
    for disk in _find(root, target):
        parent = disk.getparent()
        if parent is not None:
            parent.remove(disk)


def device(xml: str, target: str) -> str | None:
    """Return the XML of a domain's disk by its device name, None if there is none."""
    found = _find(parse(xml), target)
    return etree.tostring(found[0], encoding="unicode", with_tail=False) if found else None


def has_controller(xml: str, place: Place) -> bool:
    """Return whether a domain has the virtio-scsi controller of a place."""
    return place.controller in _virtio_controllers(parse(xml))


def _find(root: etree._Element, target: str) -> list[etree._Element]:
    # Compared here: a name in a path expression would have to be quoted.
    def name(disk: etree._Element) -> str | None:
        element = disk.find("target")
        return None if element is None else element.get("dev")

    return [disk for disk in root.iterfind(_DISKS) if name(disk) == target]


def _controllers(root: etree._Element) -> list[etree._Element]:
    return root.findall("devices/controller[@type='scsi']")


def _virtio_controllers(root: etree._Element) -> set[int]:
    found = (e for e in _controllers(root) if e.get("model", "").startswith("virtio"))
    return {index for e in found if (index := _number(e.get("index"))) is not None}


def _units(root: etree._Element, controller: int) -> set[int]:
    """Return the units of a SCSI controller that are in use, on the bus and target of build()."""
    disks = [e for e in root.iterfind(_DISKS) if e.find("target[@bus='scsi']") is not None]
    addresses = [e.find("address") for e in (*disks, *root.iterfind("devices/hostdev"))]
    found = set()
    for address in addresses:
        if address is not None and address.get("type") == "drive":
            place = [_number(address.get(key, "0")) for key in ("controller", "bus", "target")]
            unit = _number(address.get("unit", "0"))
            found.update([unit] if place == [controller, 0, 0] and unit is not None else [])
    return found


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch("[0-9]{1,9}", text) else None
