"""Changes of hosts, on the command line and over REST: `hosts set`."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import installations
from tests.frontends.frontend import Answer, Frontend
from tests.guests import End
from tests.support import call, define, immutable, ok, run

pytestmark = pytest.mark.hypervisor

HOST: dict[str, Any] = {"memory": 64, "disks": [1], "networks": ["vlan10"]}
NVRAM = Path("/var/lib/libvirt/qemu/nvram/web1_VARS.fd")
# What other programs may have added to a definition.
ADDED = """<lib:libosinfo xmlns:lib="http://libosinfo.org/xmlns/libvirt/domain/1.0">
<lib:os id="http://debian.org/debian/12"/></lib:libosinfo><note xmlns="urn:note"
 at="&quot;1&quot;"><!-- by hand -->  a &amp; b <![CDATA[<c>]]> é </note></metadata>"""
ARGUMENT = "<qemu:commandline><qemu:arg value='-nodefaults'/></qemu:commandline></domain>"


@pytest.fixture
def web1(frontend: Frontend) -> Iterator[Answer]:
    """Create a host, and delete it after the test."""
    made = frontend.run("hosts create", "web1", **HOST)
    assert made.ok, made
    yield made
    assert frontend.run("hosts delete", "web1", if_exists=True).ok


def virsh(*words: str) -> str:
    return call("virsh", "-q", "-c", "qemu:///system", *words)


def stored() -> str:
    return virsh("dumpxml", "--inactive", "--security-info", "web1")


def difference(before: str) -> list[str]:
    """Return the lines in which the stored definition differs from an earlier one."""
    lines = difflib.ndiff(before.splitlines(), stored().splitlines())
    return [f"{line[0]} {line[2:].strip()}" for line in lines if line[0] in "+-"]


def changes(answer: Answer) -> list[tuple[str, Any, str]]:
    assert answer.ok, answer
    assert answer.data["name"] == "web1"
    return [(row["key"], row["value"], row["applied"]) for row in answer.data["changes"]]


def pending(frontend: Frontend) -> dict[str, Any]:
    found = frontend.run("hosts show", "web1").data["pending"]
    assert {row["applied"] for row in found} <= {"next start"}
    return {row["key"]: row["value"] for row in found}


def test_all_values_of_a_host_that_is_off(frontend: Frontend, web1: Answer) -> None:
    before = stored()
    done = frontend.run("hosts set", "web1", memory=96, cpus=2, autostart=True, firmware="uefi")
    assert changes(done) == [
        ("memory", 96, "next start"),
        ("cpus", 2, "next start"),
        ("firmware", "uefi", "next start"),
        ("autostart", True, "now"),
    ]
    shown = frontend.run("hosts show", "web1").data
    expected = {
        **web1.data, "memory": 96, "max_memory": 96, "cpus": 2, "max_cpus": 2,
        "firmware": "uefi", "autostart": True, "pending": [],
    }  # fmt: skip
    assert shown == expected
    lines = difference(before)
    assert "+ <memory unit='KiB'>98304</memory>" in lines
    assert not [line for line in lines if "<mac" in line or "<serial" in line or "<wwn" in line]


def test_values_that_the_host_has(frontend: Frontend, web1: Answer) -> None:
    before = stored()
    same = {"memory": 64, "cpus": 1, "autostart": False, "firmware": "bios", "virt_type": "qemu"}
    assert changes(frontend.run("hosts set", "web1", **same)) == []
    assert stored() == before
    assert frontend.run("hosts show", "web1").data == web1.data


def test_only_what_was_asked_for_changes(frontend: Frontend, web1: Answer) -> None:
    """What other programs added to the definition stays, byte for byte."""
    del web1
    odd = stored().replace("</metadata>", ADDED).replace("</domain>", ARGUMENT)
    odd = odd.replace(
        "type='qemu'", "type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
    )
    odd = odd.replace("listen='127.0.0.1'", "listen='127.0.0.1' passwd='secret'")
    define(odd)
    before = stored()
    assert all(text in before for text in ("<!-- by hand -->", "CDATA", "-nodefaults", "secret"))
    assert frontend.run("hosts set", "web1", memory=80).ok
    assert sorted(difference(before)) == [
        "+ <currentMemory unit='KiB'>81920</currentMemory>",
        "+ <memory unit='KiB'>81920</memory>",
        "- <currentMemory unit='KiB'>65536</currentMemory>",
        "- <memory unit='KiB'>65536</memory>",
    ]
    assert frontend.run("hosts set", "web1", memory=64, cpus=3).ok
    assert [line for line in difference(before) if "vcpu" not in line] == []
    assert frontend.run("hosts set", "web1", cpus=2, autostart=True, firmware="uefi").ok
    assert frontend.run("hosts set", "web1", autostart=False, firmware="bios").ok
    assert [line for line in difference(before) if "vcpu" not in line and "host" not in line] == []


def test_a_running_host(frontend: Frontend, web1: Answer) -> None:
    assert frontend.run("hosts start", "web1").ok
    done = frontend.run("hosts set", "web1", memory=96, cpus=2, autostart=True)
    assert changes(done) == [
        ("memory", 96, "next start"),
        ("cpus", 2, "next start"),
        ("autostart", True, "now"),
    ]
    shown = frontend.run("hosts show", "web1").data
    assert (shown["memory"], shown["cpus"], shown["autostart"]) == (64, 1, True)
    assert pending(frontend) == {"memory": 96, "cpus": 2}
    # A reboot is no start.
    assert frontend.run("hosts reboot", "web1", force=True).ok
    assert pending(frontend) == {"memory": 96, "cpus": 2}
    assert changes(frontend.run("hosts set", "web1", memory=96)) == []
    assert frontend.run("hosts stop", "web1", force=True).ok
    assert frontend.run("hosts start", "web1").ok
    shown = frontend.run("hosts show", "web1").data
    assert (shown["memory"], shown["max_memory"], shown["cpus"]) == (96, 96, 2)
    assert shown["pending"] == []
    assert shown["interfaces"][0]["mac"] == web1.data["interfaces"][0]["mac"]


def test_processors_of_a_running_host(frontend: Frontend, web1: Answer) -> None:
    """They are added up to the maximum of the running QEMU; the guest alone could remove them."""
    del web1
    for number in (4, 1):
        assert frontend.run("hosts set", "web1", cpus=number).ok
    assert frontend.run("hosts start", "web1").ok
    assert changes(frontend.run("hosts set", "web1", cpus=2)) == [("cpus", 2, "now")]
    shown = frontend.run("hosts show", "web1").data
    assert (shown["cpus"], shown["max_cpus"], shown["pending"]) == (2, 4, [])
    assert changes(frontend.run("hosts set", "web1", cpus=1)) == [("cpus", 1, "next start")]
    assert changes(frontend.run("hosts set", "web1", cpus=5)) == [("cpus", 5, "next start")]
    assert (frontend.run("hosts show", "web1").data["cpus"], pending(frontend)) == (2, {"cpus": 5})


def test_firmware_and_back(frontend: Frontend, web1: Answer) -> None:
    """The file of UEFI variables stays for another change to UEFI, and goes with the host."""
    del web1
    assert changes(frontend.run("hosts set", "web1", firmware="uefi")) == [
        ("firmware", "uefi", "next start")
    ]
    assert frontend.run("hosts start", "web1").ok
    assert frontend.run("hosts show", "web1").data["firmware"] == "uefi"
    assert NVRAM.exists()
    assert frontend.run("hosts set", "web1", firmware="bios").ok
    assert pending(frontend) == {"firmware": "bios"}
    assert frontend.run("hosts stop", "web1", force=True).ok
    assert frontend.run("hosts start", "web1").ok
    assert frontend.run("hosts show", "web1").data["firmware"] == "bios"
    assert frontend.run("hosts stop", "web1", force=True).ok
    for firmware in ("uefi", "bios"):
        assert frontend.run("hosts set", "web1", firmware=firmware).ok
    assert NVRAM.exists()
    planned = frontend.run("hosts delete", "web1", dry_run=True).data
    (plan,) = planned if isinstance(planned, list) else [planned]
    assert ("define", "variables of host web1") in [
        (s["action"], s["target"]) for s in plan["steps"]
    ]
    assert frontend.run("hosts delete", "web1").ok
    assert not NVRAM.exists()


def test_uefi_variables_of_another_host(frontend: Frontend, web1: Answer) -> None:
    del web1
    NVRAM.parent.mkdir(parents=True, exist_ok=True)
    NVRAM.touch()
    before = stored()
    refused = frontend.run("hosts set", "web1", firmware="uefi")
    assert (refused.status, str(NVRAM) in refused.detail) == (409, True)
    assert stored() == before
    NVRAM.unlink()


def test_a_dry_run_changes_nothing(frontend: Frontend, web1: Answer) -> None:
    before = stored()
    values = {"memory": 96, "cpus": 2, "autostart": True}
    planned = frontend.run("hosts set", "web1", **values, dry_run=True)
    assert planned.ok
    assert [(step["action"], step["target"]) for step in planned.data["steps"]] == [
        ("define", "definition of host web1"),
        ("autostart", "autostart of host web1"),
    ]
    assert all(step["description"].endswith(".") for step in planned.data["steps"])
    assert (stored(), frontend.run("hosts show", "web1").data) == (before, web1.data)
    assert frontend.run("hosts set", "web1", memory=64, dry_run=True).data["steps"] == []
    for wrong in ({"memory": 2**24}, {"virt_type": "kvm"}, {}):
        failed = frontend.run("hosts set", "web1", **wrong, dry_run=True)
        assert failed == frontend.run("hosts set", "web1", **wrong)
        assert failed.status in (400, 507)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("memory", {"memory": 15}),
        ("memory", {"memory": 2**40}),
        ("cpus", {"cpus": 0}),
        ("cpus", {"cpus": 256}),
        ("firmware", {"firmware": "coreboot"}),
        ("virt_type", {"virt_type": "xen"}),
        ("virt_type", {"virt_type": "kvm"}),
    ],
)
def test_wrong_values(frontend: Frontend, web1: Answer, field: str, change: dict[str, Any]) -> None:
    before = stored()
    # A correct value with it must not be set either.
    answer = frontend.run("hosts set", "web1", **{"memory": 96, "autostart": True, **change})
    assert answer.status == 400
    assert field in answer.detail.replace("-", "_")
    assert (stored(), frontend.run("hosts show", "web1").data) == (before, web1.data)


def test_without_a_value(frontend: Frontend, web1: Answer) -> None:
    del web1
    answer = frontend.run("hosts set", "web1")
    assert (answer.status, "nothing to change: give" in answer.detail) == (400, True)
    assert frontend.run("hosts set", "web1", overcommit=True).status == 400


def test_more_memory_than_the_machine_has(frontend: Frontend, web1: Answer) -> None:
    del web1
    answer = frontend.run("hosts set", "web1", memory=2**24)
    assert (answer.status, answer.field) == (507, "memory")
    assert frontend.run("hosts set", "web1", memory=2**24, overcommit=True).ok


def test_missing_host(frontend: Frontend) -> None:
    assert frontend.run("hosts set", "nobody", memory=64).status == 404


@pytest.mark.parametrize("kind", ["foreign", "copy", "transient", "incomplete", "saved"])
def test_hosts_that_cannot_be_changed(frontend: Frontend, web1: Answer, kind: str) -> None:
    words = {
        "foreign": "hosts adopt", "copy": "hosts adopt", "transient": "virsh define",
        "incomplete": "was interrupted", "saved": "managedsave-remove",
    }  # fmt: skip
    xml = stored()
    if kind in ("transient", "saved"):
        assert frontend.run("hosts start", "web1").ok
    if kind == "saved":
        virsh("managedsave", "web1")
    elif kind == "copy":
        virsh("undefine", "web1")
        define(xml.replace(web1.data["id"], "11111111-2222-4333-8444-555555555555", 1))
    elif kind == "foreign":
        virsh("metadata", "web1", "urn:shctl:host:1", "--remove")
    elif kind == "incomplete":
        define(xml.replace("created=", "complete='no' created=", 1))
    else:
        virsh("undefine", "web1")
    answer = frontend.run("hosts set", "web1", memory=96)
    assert (answer.status, words[kind] in answer.detail) == (409, True), answer
    if kind == "saved":
        # It changes neither what is saved nor what it resumes with.
        assert frontend.run("hosts set", "web1", autostart=True).ok
        virsh("managedsave-remove", "web1")
    elif kind == "transient":
        virsh("destroy", "web1")
    else:
        virsh("undefine", "web1")
    if kind != "saved":
        define(xml)


def test_a_host_that_is_being_installed(frontend: Frontend) -> None:
    with installations.serving() as trees:
        given = {**HOST, "install": True, "location": trees.of(End.SPIN)}
        assert frontend.run("hosts create", "web1", **given).ok
        answer = frontend.run("hosts set", "web1", memory=96, autostart=True)
        assert (answer.status, "being installed" in answer.detail) == (409, True)
        assert frontend.run("hosts show", "web1").data["autostart"] is False
        assert changes(frontend.run("hosts set", "web1", autostart=True)) == [
            ("autostart", True, "now")
        ]
    assert frontend.run("hosts delete", "web1").ok


def test_a_failure_changes_nothing(frontend: Frontend, web1: Answer) -> None:
    """libvirt stores the definition, but cannot store autostart."""
    links = Path("/etc/libvirt/qemu/autostart")
    links.mkdir(exist_ok=True)
    # libvirt sorts the controllers when it defines a host again.
    before = sorted(stored().split())
    with immutable(links):
        answer = frontend.run("hosts set", "web1", memory=96, cpus=2, autostart=True)
        assert answer.status == 500, answer
    assert "left behind" not in answer.detail
    assert sorted(stored().split()) == before
    assert frontend.run("hosts show", "web1").data == web1.data


def test_names_and_passwords_of_others(frontend: Frontend, web1: Answer) -> None:
    """A host that was renamed is changed under its new name."""
    del web1
    virsh("domrename", "web1", "Web 2")
    assert frontend.run("hosts set", "Web 2", memory=96).ok
    assert frontend.run("hosts show", "Web 2").data["memory"] == 96
    virsh("domrename", "Web 2", "web1")


def test_both_names_of_an_option(web1: Answer) -> None:
    """Of the command line only: what a table shows, and the message."""
    del web1
    shown = ok("hosts", "set", "web1", "--memory", "1G", "--no-autostart")
    assert [line.split() for line in shown.splitlines()] == [
        ["NAME", "web1"],
        ["CHANGES"],
        ["KEY", "VALUE", "APPLIED"],
        ["memory", "1024", "MiB", "next", "start"],
    ]
    refused = run("hosts", "set", "web1")
    assert refused.err == (
        "shctl: nothing to change: give --memory, --cpus, --autostart, --firmware or --virt-type\n"
    )
