"""Edit stored domain XML, and keep everything that is not asked for as it is; pure, no I/O.

libvirt writes numbers in its own units, so what does not change keeps its text. Comments, CDATA and
namespaces that other programs put into the metadata stay too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lxml import etree

from shctl.xml import metadata
from shctl.xml.domain import add_bios, add_uefi
from shctl.xml.parsing import parse, parse_for_edit

_PASSED_THROUGH, _EMULATED = "host-passthrough", "maximum"


Edit = Callable[[etree._Element], object]


def edited(xml: str, changes: Iterable[Edit]) -> str:
    """Return a domain's XML after changes to its root element."""
    root = parse_for_edit(xml)
    for change in changes:
        change(root)
    return etree.tostring(root, encoding="unicode")


def set_memory(root: etree._Element, mib: int) -> None:
    """Set the current and the maximum memory, in MiB."""
    for tag in ("memory", "currentMemory"):
        element = root.find(tag)
        if element is not None:
            element.text = str(mib * 1024)
            element.set("unit", "KiB")


def set_cpus(root: etree._Element, number: int) -> None:
    """Set the number of processors; the maximum grows with it, and never shrinks."""
    vcpu = root.find("vcpu")
    if vcpu is None:
        vcpu = etree.SubElement(root, "vcpu")
        vcpu.text = "1"
    most = max(number, int((vcpu.text or "1").strip()))
    vcpu.text = str(most)
    if number == most:
        vcpu.attrib.pop("current", "")
    else:
        vcpu.set("current", str(number))


def set_virt_type(root: etree._Element, kind: str) -> None:
    """Set the kind of domain, kvm or qemu, and a processor model that it can have."""
    root.set("type", kind)
    cpu = root.find("cpu")
    # QEMU's emulation cannot pass the machine's processor through.
    if cpu is not None and cpu.get("mode") in (_PASSED_THROUGH, _EMULATED):
        cpu.set("mode", _PASSED_THROUGH if kind == "kvm" else _EMULATED)


def set_firmware(root: etree._Element, firmware: str) -> None:
    """Set the firmware, bios or uefi.

    libvirt leaves the file of UEFI variables when it becomes bios, which the metadata record.
    """
    system = _without_firmware(root)
    if firmware == "uefi":
        add_uefi(system)
    elif system.find("bios") is None:
        add_bios(system)
    metadata.mark_variables(root, left=firmware == "bios")


def set_variables(root: etree._Element, path: str) -> None:
    """Have a domain that will be undefined use a file of UEFI variables, which goes with it."""
    system = _without_firmware(root)
    # It never starts, so the loader may be any file. With a name of its own, libvirt would search
    # for firmware that may not be installed any more.
    etree.SubElement(system, "loader", readonly="yes", type="pflash").text = path
    etree.SubElement(system, "nvram").text = path


def _without_firmware(root: etree._Element) -> etree._Element:
    system = root.find("os")
    if system is None:
        system = etree.SubElement(root, "os")
    system.attrib.pop("firmware", "")
    for element in [e for e in system if e.tag in ("firmware", "loader", "nvram")]:
        system.remove(element)
    return system


@dataclass(frozen=True)
class Obstacles:
    """What keeps shctl from changing memory, processors or firmware, None for nothing."""

    memory: str | None
    cpus: str | None
    firmware: str | None


def find_obstacles(xml: str) -> Obstacles:
    """Return what a definition has that depends on a value in ways that shctl does not know."""
    root = parse(xml)
    return Obstacles(
        memory=_first(root, {"cpu/numa": "NUMA cells", "maxMemory": "slots for memory devices"}),
        cpus=_first(
            root,
            {
                "cpu/numa": "NUMA cells",
                "cpu/topology": "a CPU topology",
                "vcpus": "settings for each processor",
            },
        ),
        firmware=_own_loader(root),
    )


def _first(root: etree._Element, names: dict[str, str]) -> str | None:
    return next((name for path, name in names.items() if root.find(path) is not None), None)


def _own_loader(root: etree._Element) -> str | None:
    chosen = root.find("os[@firmware='efi']") is not None
    return "a loader of its own" if not chosen and root.find("os/loader") is not None else None
