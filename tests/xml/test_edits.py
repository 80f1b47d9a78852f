"""Edits of stored XML: what was asked for changes, and nothing else."""

from functools import partial

import pytest

from shctl.xml import domain, edits
from shctl.xml.edits import Edit

# As libvirt writes it, with what other programs added.
ODD = """<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' type='kvm'>
  <name>web1</name>
  <uuid>11111111-2222-4333-8444-555555555555</uuid>
  <metadata>
    <!-- kept -->
    <lib:libosinfo xmlns:lib="http://libosinfo.org/xmlns/libvirt/domain/1.0"><lib:os id="x"/>
    </lib:libosinfo>
    <shctl:host xmlns:shctl="urn:shctl:host:1" created="2026-01-02T03:04:05Z"/>
    <note xmlns="urn:n"><![CDATA[<a> & b]]> &amp; é<?ask me?></note>
  </metadata>
  <memory unit='KiB' dumpCore='off'>65536</memory>
  <currentMemory unit='KiB'>65536</currentMemory>
  <vcpu placement='static' cpuset='0-1'>2</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='hd'/>
    <bootmenu enable='yes'/>
  </os>
  <cpu mode='host-passthrough' check='none' migratable='on'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-name'/>
  </qemu:commandline>
</domain>"""


def lines(text: str) -> list[str]:
    """Return lines with quotes as lxml writes them."""
    return text.replace("'", '"').splitlines()


def difference(xml: str, *changes: Edit) -> tuple[list[str], list[str]]:
    """Return the lines that changes remove, and those that they add."""
    before, after = lines(xml), lines(edits.edited(xml, changes))
    return [x.strip() for x in before if x not in after], [
        x.strip() for x in after if x not in before
    ]


def test_nothing_changes_without_an_edit() -> None:
    assert difference(ODD) == ([], [])


def test_memory() -> None:
    removed, added = difference(ODD, partial(edits.set_memory, mib=128))
    assert len(removed) == 2
    assert added == [
        '<memory unit="KiB" dumpCore="off">131072</memory>',
        '<currentMemory unit="KiB">131072</currentMemory>',
    ]


@pytest.mark.parametrize(
    ("vcpu", "number", "expected"),
    [
        ("<vcpu>2</vcpu>", 4, "<vcpu>4</vcpu>"),
        ("<vcpu>2</vcpu>", 1, '<vcpu current="1">2</vcpu>'),
        ("<vcpu current='1'>4</vcpu>", 2, '<vcpu current="2">4</vcpu>'),
        ("<vcpu current='1'>4</vcpu>", 4, "<vcpu>4</vcpu>"),
        ("<vcpu current='1'>4</vcpu>", 8, "<vcpu>8</vcpu>"),
        ("", 3, "<vcpu>3</vcpu>"),
    ],
)
def test_cpus(vcpu: str, number: int, expected: str) -> None:
    change = partial(edits.set_cpus, number=number)
    assert edits.edited(f"<domain>{vcpu}</domain>", [change]) == f"<domain>{expected}</domain>"


def test_firmware_and_back() -> None:
    removed, added = difference(ODD, partial(edits.set_firmware, firmware="uefi"))
    assert removed == ["<os>", "</os>"]
    assert added == [
        '<os firmware="efi">',
        '<firmware><feature enabled="no" name="secure-boot"/></firmware></os>',
    ]
    changes = [partial(edits.set_firmware, firmware=name) for name in ("uefi", "bios")]
    back = edits.edited(ODD, changes)
    assert domain.read(back).firmware == "bios"
    assert 'variables="left"' in back
    again = edits.edited(back, changes[:1])
    assert domain.read(again).firmware == "uefi"
    assert "variables=" not in again


def test_bios_drops_what_libvirt_added_for_uefi() -> None:
    uefi = (
        "<domain><os firmware='efi'><type>hvm</type><firmware><feature/></firmware>"
        "<loader>/c</loader><nvram template='/t'>/v</nvram><boot dev='hd'/></os></domain>"
    )
    change = partial(edits.set_firmware, firmware="bios")
    expected = '<domain><os><type>hvm</type><boot dev="hd"/><bios useserial="yes"/></os></domain>'
    assert edits.edited(uefi, [change]) == expected


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("qemu", "host-passthrough", "maximum"),
        ("kvm", "maximum", "host-passthrough"),
        ("qemu", "custom", "custom"),
        ("kvm", "host-model", "host-model"),
    ],
)
def test_virt_type(kind: str, before: str, after: str) -> None:
    xml = edits.edited(
        f"<domain type='x'><cpu mode='{before}'/></domain>",
        [partial(edits.set_virt_type, kind=kind)],
    )
    assert xml == f'<domain type="{kind}"><cpu mode="{after}"/></domain>'


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", (None, None, None)),
        ("<cpu><numa/></cpu>", ("NUMA cells", "NUMA cells", None)),
        ("<maxMemory slots='2'>1</maxMemory>", ("slots for memory devices", None, None)),
        ("<cpu><topology cores='2'/></cpu>", (None, "a CPU topology", None)),
        ("<vcpus><vcpu id='0'/></vcpus>", (None, "settings for each processor", None)),
        ("<os><loader>/c</loader></os>", (None, None, "a loader of its own")),
        ("<os firmware='efi'><loader>/c</loader></os>", (None, None, None)),
    ],
)
def test_obstacles(inside: str, expected: tuple[str | None, ...]) -> None:
    found = edits.find_obstacles(f"<domain>{inside}</domain>")
    assert (found.memory, found.cpus, found.firmware) == expected


def test_variables_of_a_domain_that_is_undefined() -> None:
    change = partial(edits.set_variables, path="/v")
    xml = edits.edited("<domain><os firmware='efi'><type>hvm</type></os></domain>", [change])
    assert "<nvram>/v</nvram>" in xml
    assert "firmware" not in xml
