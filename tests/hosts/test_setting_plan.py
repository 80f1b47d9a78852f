"""The plan of new values for a host; none of these tests needs a hypervisor."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from shctl.common.errors import Conflict, InvalidInput, NoSpace
from shctl.common.model import Change
from shctl.hosts import pending
from shctl.hosts.capacity import Memory
from shctl.hosts.change_state import HostState
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.setting_plan import Machine, Values, plan_values
from shctl.xml import domain
from shctl.xml.metadata import Metadata

UUID = "11111111-2222-4333-8444-555555555555"
XML = f"""<domain type="qemu"><name>web1</name><uuid>{UUID}</uuid>
<metadata><h:host xmlns:h="urn:shctl:host:1" uuid="{UUID}" created="2020-01-01T00:00:00Z"/>
</metadata><memory unit="KiB">65536</memory><currentMemory unit="KiB">65536</currentMemory>
<vcpu>2</vcpu><os><type>hvm</type></os></domain>"""
MACHINE = Machine(Memory(1024, None), has_kvm=False)


def state(xml: str = XML, running: str | None = None, **fields: Any) -> HostState:
    usual: dict[str, Any] = {
        "host": SimpleNamespace(name="web1", uuid=UUID),
        "active": running is not None,
        "autostart": False,
        "definition": xml,
        "stored": domain.read(xml),
        "running": domain.read(running) if running else None,
        "metadata": Metadata("2020-01-01T00:00:00Z"),
    }
    return HostState(**usual | fields)


def changes(values: Values, of: HostState | None = None) -> list[tuple[str, Any, str]]:
    found = plan_values(values, of or state(), MACHINE).target.changes
    return [(change.key, change.value, change.applied) for change in found]


def actions(values: Values, of: HostState | None = None) -> list[str]:
    return [step.action for step in plan_values(values, of or state(), MACHINE).steps]


def test_values_that_the_host_has() -> None:
    values = Values(memory=64, cpus=2, autostart=False, firmware="bios", virt_type="auto")
    assert (changes(values), actions(values)) == ([], [])


def test_all_values_are_stored_in_one_step() -> None:
    values = Values(memory=128, cpus=4, autostart=True, firmware="uefi")
    assert changes(values) == [
        ("memory", 128, "next start"),
        ("cpus", 4, "next start"),
        ("firmware", "uefi", "next start"),
        ("autostart", True, "now"),
    ]
    define, autostart = plan_values(values, state(), MACHINE).steps
    expected = "Store for the next start of host 'web1': memory 128 MiB, cpus 4, firmware uefi."
    assert define.description == expected
    assert define.undo == ChangeSteps.restore
    assert (autostart.action, autostart.undo is not None) == ("autostart", True)


def test_memory_below_its_maximum_is_a_difference() -> None:
    ballooned = XML.replace('"KiB">65536</c', '"KiB">32768</c')
    for mib in (32, 64):
        assert changes(Values(memory=mib), state(ballooned)) == [("memory", mib, "next start")]


@pytest.mark.parametrize(
    ("stored", "running", "wanted", "applied", "done"),
    [
        ("2", "2", 4, "next start", ["define"]),
        ("2", "2", 1, "next start", ["define"]),
        ("4", "4", 2, "next start", ["define"]),
        ("current='2'>4", "current='2'>4", 3, "now", ["define", "plug"]),
        ("current='2'>4", "current='2'>4", 4, "now", ["define", "plug"]),
        ("current='2'>4", "current='2'>4", 5, "next start", ["define"]),
        ("current='2'>4", "current='3'>4", 2, None, []),
        ("4", "current='2'>4", 4, "now", ["plug"]),
    ],
)
def test_cpus_of_a_running_host(
    stored: str, running: str, wanted: int, applied: str | None, done: list[str]
) -> None:
    texts = [
        XML.replace("<vcpu>2", f"<vcpu {text}" if ">" in text else f"<vcpu>{text}")
        for text in (stored, running)
    ]
    values = Values(cpus=wanted)
    expected = [("cpus", wanted, applied)] if applied else []
    assert changes(values, state(*texts)) == expected
    assert actions(values, state(*texts)) == done


def test_virt_type_auto() -> None:
    values = Values(virt_type="auto")
    made = plan_values(values, state(), replace(MACHINE, has_kvm=True))
    assert made.target.changes == (Change("virt_type", "kvm", "next start"),)
    with pytest.raises(InvalidInput, match="KVM is not usable") as caught:
        plan_values(Values(virt_type="kvm"), state(), MACHINE)
    assert caught.value.field == "virt_type"


def test_more_memory_than_the_machine_has() -> None:
    with pytest.raises(NoSpace, match="use --overcommit to change it anyway") as caught:
        plan_values(Values(memory=1025), state(), MACHINE)
    assert caught.value.field == "memory"
    assert plan_values(Values(memory=1025), state(), replace(MACHINE, memory=None)).steps


@pytest.mark.parametrize(
    ("inside", "values", "word"),
    [
        ("<cpu><numa/></cpu>", Values(memory=128), "NUMA"),
        ("<cpu><numa/></cpu>", Values(cpus=4), "NUMA"),
        ("<cpu><topology/></cpu>", Values(cpus=4), "topology"),
        ("<maxMemory>1</maxMemory>", Values(memory=128), "memory devices"),
    ],
)
def test_definitions_that_shctl_does_not_change(inside: str, values: Values, word: str) -> None:
    xml = XML.replace("<vcpu>", f"{inside}<vcpu>")
    with pytest.raises(Conflict, match=f"{word}.*virsh edit web1"):
        plan_values(values, state(xml), MACHINE)
    # Only if that value changes.
    assert changes(Values(autostart=True), state(xml)) == [("autostart", True, "now")]


def test_uefi_variables_elsewhere() -> None:
    os = "<os firmware='efi'><type>hvm</type><nvram>/srv/v</nvram></os>"
    xml = XML.replace("<os><type>hvm</type></os>", os)
    with pytest.raises(Conflict, match="its UEFI variables in /srv/v"):
        plan_values(Values(firmware="bios"), state(xml), MACHINE)


def test_harmless_values() -> None:
    assert Values(autostart=False).harmless
    assert not Values(autostart=False, cpus=1).harmless


def test_what_the_next_start_changes() -> None:
    more = XML.replace("65536", "131072").replace("<vcpu>2", "<vcpu>4").replace("qemu", "kvm")
    found = pending.find("web1", domain.read(XML), domain.read(more))
    assert [(change.key, change.value) for change in found] == [
        ("memory", 128), ("cpus", 4), ("virt_type", "kvm"),
    ]  # fmt: skip
    assert {change.applied for change in found} == {"next start"}
    ballooned = XML.replace('"KiB">65536</c', '"KiB">32768</c')
    assert pending.find("web1", domain.read(ballooned), domain.read(XML)) == ()
