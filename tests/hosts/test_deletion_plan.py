"""The plan of a deletion: what is removed, what is kept and why, and when it is refused.

None of these tests needs a hypervisor.
"""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shctl.common.errors import Conflict, ShctlError, Unreachable
from shctl.common.model import KeptFile
from shctl.hosts import deletion
from shctl.hosts.deletion_plan import Deletion, DeletionState, Removal, plan_deletion
from shctl.hosts.owned_disks import Disks, OwnedDisk
from shctl.storage.usage import Use
from shctl.xml import domain

UUID, OTHER = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"
DISK, OVERLAY, FOREIGN = "/pool/web1-sda", "/srv/overlay", "/srv/foreign"
XML = f"""<domain type="qemu"><name>web1</name><uuid>{UUID}</uuid>
<metadata><h:host xmlns:h="urn:shctl:host:1" uuid="{UUID}" created="2020-01-01T00:00:00Z">
<volume pool="shctl" name="web1-sda"/></h:host></metadata>
<memory unit="MiB">64</memory><vcpu>1</vcpu><devices>{{}}</devices></domain>"""
FILE = "<disk type='file' device='disk'><source file='{}'/><target dev='{}'/>{}</disk>"


def host(name: str, uuid: str) -> Any:
    return SimpleNamespace(name=name, uuid=uuid)


def disk(path: str = DISK, **fields: Any) -> OwnedDisk:
    return OwnedDisk(path, lambda: None, f"volume {path}", 1.0, **fields)


def info(*disks: str) -> domain.DomainInfo:
    return domain.read(XML.format("".join(disks)))


def state(**fields: Any) -> DeletionState:
    """Return the state of an inactive host with one disk of its own."""
    usual: dict[str, Any] = {
        "name": "web1",
        "uuid": UUID,
        "active": False,
        "info": info(FILE.format(DISK, "sda", "")),
        "disks": Disks((disk(),)),
        "uses": {DISK: [Use(DISK, host("web1", UUID))]},
    }
    return DeletionState(**usual | fields)


def refusal(**fields: Any) -> str:
    with pytest.raises(Conflict) as caught:
        plan_deletion(state(**fields))
    return caught.value.detail


def steps(plan: Deletion) -> list[tuple[str, str]]:
    return [(step.action, step.target) for step in plan.steps]


def test_host_with_a_disk() -> None:
    plan = plan_deletion(state())
    assert steps(plan) == [
        ("stop", "host web1"),
        ("mark", "host web1"),
        ("remove", "ports of host web1"),
        ("remove", f"disk {DISK}"),
        ("undefine", "host web1"),
    ]
    assert (plan.running, plan.size, plan.kept) == (False, 1.0, ())
    assert all(step.description.endswith(".") for step in plan.steps)


def test_running_host_with_every_resource() -> None:
    log = Path("/var/log/shctl/console/web1.log")
    more = {"logs": (log,), "has_boot_files": True, "nvram": "/nvram/web1_VARS.fd"}
    plan = plan_deletion(state(active=True, **more))
    assert plan.running
    assert plan.steps[0].description == "Power off host 'web1'."
    assert steps(plan)[-3:] == [
        ("remove", f"log {log}"),
        ("remove", "boot files of host web1"),
        ("undefine", "host web1"),
    ]
    assert "/nvram/web1_VARS.fd" in plan.steps[-1].description


def test_disks_go_before_the_domain_that_lists_them() -> None:
    disks = Disks((disk(), disk("/pool/web1-sdb")))
    uses: dict[str, list[Use]] = {DISK: [], "/pool/web1-sdb": []}
    plan = plan_deletion(state(disks=disks, uses=uses))
    assert steps(plan)[-3:] == [
        ("remove", f"disk {DISK}"),
        ("remove", "disk /pool/web1-sdb"),
        ("undefine", "host web1"),
    ]


@pytest.mark.parametrize(
    ("extra", "reason"),
    [("", "not one of the disks that shctl created"), ("<readonly/>", "read-only or shareable")],
)
def test_foreign_disk_is_kept(extra: str, reason: str) -> None:
    rows = info(FILE.format(DISK, "sda", ""), FILE.format(FOREIGN, "sdb", extra))
    plan = plan_deletion(state(info=rows))
    (kept,) = plan.kept
    assert (kept.path, kept.reason.startswith(reason)) == (FOREIGN, True)
    assert ("remove", f"disk {FOREIGN}") not in steps(plan)


def test_missing_disk_is_not_listed_as_kept() -> None:
    rows = info(FILE.format(FOREIGN, "sdb", ""))
    plan = plan_deletion(state(info=rows, absent=frozenset({FOREIGN})))
    assert plan.kept == ()


def test_volume_no_longer_in_the_xml_is_kept() -> None:
    plan = plan_deletion(state(disks=Disks((disk(),), ("/pool/old",), ("/pool/old",))))
    assert plan.kept == (KeptFile("/pool/old", "no longer in the host's XML"),)


def test_foreign_uefi_variables_are_kept() -> None:
    plan = plan_deletion(state(foreign_nvram="/srv/vars.fd"))
    assert [kept.path for kept in plan.kept] == ["/srv/vars.fd"]
    undefined: list[bool] = []
    undefine: Any = SimpleNamespace(undefine=lambda *, nvram: undefined.append(nvram))
    plan.after[-1].do(Removal(undefine, undefine, undefine))
    assert undefined == [False]


@pytest.mark.parametrize("copied", [False, True])
def test_host_that_shctl_does_not_manage(copied: bool) -> None:
    foreign = replace(info(), metadata=None, copied=copied)
    detail = refusal(info=foreign, disks=Disks(()), uses={})
    assert ("a copy of a host" if copied else "not created by shctl") in detail
    assert "'shctl hosts adopt web1'" in detail


USES = {
    "host": (Use(DISK, host("db1", OTHER)), "also used by db1; detach it there first"),
    "host with an image": (
        Use(DISK, host("db1", OTHER), OVERLAY),
        f"db1 (its disk {OVERLAY} depends on it); detach it there first",
    ),
    "image": (Use(DISK, None, OVERLAY), "remove that image first, if nobody needs it"),
    "device": (Use(DISK, None, "/dev/loop0"), "/dev/loop0 (a device that depends on it); detach"),
}


@pytest.mark.parametrize("case", USES)
def test_disk_in_use_elsewhere(case: str) -> None:
    use, words = USES[case]
    assert words in refusal(uses={DISK: [Use(DISK, host("web1", UUID)), use]})


def test_backing_file_of_a_kept_disk() -> None:
    """As after `virsh snapshot-create-as --disk-only`."""
    uses = {DISK: [Use(DISK, host("web1", UUID), OVERLAY)]}
    detail = refusal(info=info(FILE.format(OVERLAY, "sda", "")), uses=uses)
    assert "virsh blockcommit web1 sda --active --pivot" in detail
    assert "of a snapshot of it" in refusal(uses=uses)
    assert plan_deletion(state(uses=uses, owned_tops=frozenset({OVERLAY})))


def test_disk_locked_by_a_process() -> None:
    assert "qemu-nbd" in refusal(locked=frozenset({DISK}))


def test_disk_in_a_read_only_directory() -> None:
    detail = refusal(disks=Disks((disk(removable=False),)))
    assert "this process cannot write to /pool;" in detail
    assert "'lsattr -d /pool'" in detail


# --- running the steps --------------------------------------------------------------------------


def failing(path: str, error: Exception) -> OwnedDisk:
    def fail() -> None:
        raise error

    return OwnedDisk(path, fail, f"file {path}")


def removal() -> Removal:
    nothing: Any = SimpleNamespace()
    return Removal(nothing, nothing, nothing)


def test_failed_removal_of_a_disk_stops_no_other() -> None:
    removed: list[str] = []
    last = OwnedDisk("/c", lambda: removed.append("/c"), "file /c")
    disks = (failing("/a", PermissionError("immutable")), failing("/b", Conflict("busy")), last)
    plan = plan_deletion(state(disks=Disks(disks), uses={"/a": [], "/b": [], "/c": []}))
    with pytest.raises(ShctlError) as caught:
        deletion._remove_disks(plan, removal())
    assert removed == ["/c"]
    assert "disk /a (immutable); disk /b (busy); check their permissions" in caught.value.detail
    assert "then run 'shctl hosts delete web1' again" in caught.value.detail


def test_lost_connection_stops_at_once() -> None:
    disks = Disks((failing("/a", Unreachable("no libvirtd")), disk()))
    plan = plan_deletion(state(disks=disks, uses={"/a": [], DISK: []}))
    with pytest.raises(Unreachable):
        deletion._remove_disks(plan, removal())
