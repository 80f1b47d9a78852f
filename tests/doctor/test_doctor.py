"""doctor reports and fixes each problem, and changes nothing else."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.guests import End
from tests.installations import (
    BOOT,
    arguments,
    delete,
    install_of,
    serving,
    virsh,
    wait_until_off,
)
from tests.support import (
    LOGS,
    VOLUMES,
    call,
    create,
    eventually,
    ok,
    port_of,
    port_rows,
    qemu_pid,
    run,
    spawn,
    state,
)

pytestmark = pytest.mark.usefixtures("vlan10")

CACHE = Path("/var/cache/shctl/trees")


def findings(*more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ok("-o", "json", "doctor", *more))
    return found


def the_one(kind: str, name: str) -> dict[str, Any]:
    """Return the only finding, which must be about this resource."""
    found = findings()
    assert [(row["kind"], row["name"]) for row in found] == [(kind, name)]
    assert found[0]["result"] is None
    return found[0]


def check_fixed(kind: str, name: str) -> None:
    """Fix the only finding; a check changes nothing, nor does a second fix."""
    the_one(kind, name)
    the_one(kind, name)
    assert [row["result"] for row in findings("--fix")] == ["fixed"]
    assert findings() == findings("--fix") == []


def test_no_findings_on_a_healthy_hypervisor() -> None:
    create("sound", "--start")
    assert findings() == []
    assert ok("doctor") == ""
    delete("sound")


def test_volume_of_no_host_is_reported_and_kept() -> None:
    (VOLUMES / "nobody-sda").write_bytes(b"a copy, perhaps")
    virsh("pool-refresh", "shctl")
    found = the_one("volume", str(VOLUMES / "nobody-sda"))
    assert [row["result"] for row in findings("--fix")] == [None]
    assert (VOLUMES / "nobody-sda").read_bytes() == b"a copy, perhaps"
    remedy = re.search("'virsh (.+)'", found["remedy"])
    assert remedy
    virsh(*remedy[1].split())
    assert findings() == []


def test_unresolvable_image_is_a_finding() -> None:
    """It may depend on any volume."""
    left, image = VOLUMES / "gone-sda", VOLUMES / "image"
    for path in (left, image):
        call("qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M")
    call("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "nbd://host/x", str(image))
    virsh("pool-refresh", "shctl")
    finding = the_one("check", "volumes without a host")
    assert f"cannot find out what {image} depends on" in finding["problem"]
    image.unlink()
    the_one("volume", str(left))
    left.unlink()
    virsh("pool-refresh", "shctl")


def test_foreign_volumes_are_kept() -> None:
    """One is not named like a disk, the other belongs to a host that shctl did not create."""
    for name in ("image.iso", "other-sda"):
        (VOLUMES / name).write_bytes(b"other")
    virsh("pool-refresh", "shctl")
    with_disk("foreign", VOLUMES / "other-sda")
    assert findings("--fix") == []
    for name in ("image.iso", "other-sda"):
        assert (VOLUMES / name).read_bytes() == b"other"
        (VOLUMES / name).unlink()
    virsh("undefine", "foreign")
    virsh("pool-refresh", "shctl")


def with_disk(name: str, path: Path) -> None:
    xml = (
        f"<domain type='qemu'><name>{name}</name><memory>65536</memory><os><type>hvm</type></os>"
        f"<devices><disk type='file'><source file='{path}'/><target dev='sda' bus='scsi'/></disk>"
        "</devices></domain>"
    )
    subprocess.run(["virsh", "define", "/dev/stdin"], input=xml, text=True, check=True,
                   capture_output=True)  # fmt: skip


def test_missing_volume_is_reported_and_left_alone() -> None:
    create("loser")
    virsh("vol-delete", "loser-sda", "shctl")
    assert "loser-sda" in the_one("host", "loser")["problem"]
    assert [row["result"] for row in findings("--fix")] == [None]
    assert state("loser") == "shut off"
    delete("loser")


def test_stale_port_row() -> None:
    create("ported", "--start")
    ids = call("ovs-vsctl", "get", "interface", port_of("ported"), "external_ids").strip()
    delete("ported")
    row = "--no-wait add-port br0 vnet900 tag=99 -- set interface vnet900"
    call("ovs-vsctl", *row.split(), f"external_ids={ids}")
    check_fixed("port", "vnet900")
    assert "vnet900" not in port_rows()


def test_port_row_of_a_host_that_is_off() -> None:
    create("ported")
    plant("vnet900", run("-o", "json", "hosts", "show", "ported").json["id"])
    check_fixed("port", "vnet900")
    assert "vnet900" not in port_rows()
    delete("ported")


def test_port_row_of_an_unknown_host_is_reported_and_kept() -> None:
    plant("vnet900", "11111111-2222-3333-4444-555555555555")
    assert "may be stale" in the_one("port", "vnet900")["problem"]
    assert [row["result"] for row in findings("--fix")] == [None]
    assert "vnet900" in port_rows()
    call("ovs-vsctl", "del-port", "vnet900")


def plant(port: str, uuid: str) -> None:
    row = f"--no-wait add-port br0 {port} tag=99 -- set interface {port} external_ids:vm-id={uuid}"
    call("ovs-vsctl", *row.split())


def test_foreign_port_is_kept() -> None:
    call("ovs-vsctl", "add-port", "br0", "other", "--", "set", "interface", "other",
         "type=internal")  # fmt: skip
    assert findings("--fix") == []
    assert "other" in port_rows()
    call("ovs-vsctl", "del-port", "other")


def test_port_with_a_wrong_tag_is_reported() -> None:
    create("moved", "--start")
    call("ovs-vsctl", "set", "port", port_of("moved"), "tag=99")
    assert "99" in the_one("host", "moved")["problem"]
    delete("moved")


def test_missing_bridge() -> None:
    call("ovs-vsctl", "add-br", "brx", "--", "set", "bridge", "brx", "datapath_type=netdev")
    ok("networks", "create", "lost", "--bridge", "brx", "--vlan", "3")
    call("ovs-vsctl", "del-br", "brx")
    assert "brx" in the_one("network", "lost")["problem"]
    ok("networks", "delete", "--yes", "lost")


def test_interrupted_creation() -> None:
    """shctl is suspended once it has reserved the name, then killed."""
    with serving() as trees:
        creating = spawn(*arguments("cut", trees.of(End.HALT)))
        eventually(lambda: "cut" in virsh("list", "--all", "--name") or creating.poll() is not None)
        os.kill(creating.pid, signal.SIGSTOP)
        if 'complete="no"' not in virsh("dumpxml", "cut", "--inactive"):
            pytest.fail("it was too quick to be cut off")
        creating.kill()
        creating.communicate()
    check_fixed("host", "cut")
    assert run("hosts", "show", "cut").code == 3
    assert not list(VOLUMES.glob("cut-*"))
    assert not (BOOT / "cut").exists()


def test_installation_that_ended_unnoticed() -> None:
    with serving() as trees:
        ok(*arguments("unseen", trees.of(End.RESET)))
    wait_until_off("unseen")
    check_fixed("host", "unseen")
    assert state("unseen") == "running"
    assert install_of("unseen")["phase"] == "installed"
    delete("unseen")


def test_boot_files_and_log_of_no_host() -> None:
    for path in (BOOT / "nobody" / "kernel", LOGS / "nobody.log", LOGS / "nobody.log.0"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
    left = [BOOT / "nobody", LOGS / "nobody.log", LOGS / "nobody.log.0"]
    assert {row["name"] for row in findings()} == set(map(str, left))
    assert {row["result"] for row in findings("--fix")} == {"fixed"}
    assert not list(BOOT.glob("nobody")) + list(LOGS.glob("nobody*"))


def test_disk_that_others_can_read() -> None:
    create("open")
    (VOLUMES / "open-sda").chmod(0o644)
    check_fixed("file", str(VOLUMES / "open-sda"))
    assert (VOLUMES / "open-sda").stat().st_mode & 0o777 == 0o600
    delete("open")


def test_log_that_others_can_read() -> None:
    create("open", "--start")
    eventually((LOGS / "open.log").exists)
    (LOGS / "open.log").chmod(0o644)
    check_fixed("file", str(LOGS / "open.log"))
    assert (LOGS / "open.log").stat().st_mode & 0o777 == 0o600
    delete("open")


def test_interrupted_download() -> None:
    with serving() as trees:
        ok(*arguments("cached", trees.of(End.HALT)))
    delete("cached")
    kept = {path.name for path in CACHE.glob("*.data")}
    left = CACHE / f".{'a' * 64}.data.x.part"
    left.write_bytes(b"half")
    check_fixed("file", str(left))
    assert {path.name for path in CACHE.glob("*.data")} == kept


def test_r54_cached_file_that_qemu_owned() -> None:
    with serving() as trees:
        ok(*arguments("cached", trees.of(End.HALT)))
    changed = min(CACHE.glob("*.data"))
    delete("cached")
    other = CACHE.parent / "other"
    os.link(changed, other)
    os.chown(changed, 64055, 64055)
    check_fixed("file", str(changed))
    assert (changed.exists(), other.stat().st_uid) == (False, 64055)
    other.unlink()


def test_foreign_file_in_the_cache_is_kept() -> None:
    CACHE.mkdir(exist_ok=True)
    foreign = CACHE / "notes.txt"
    foreign.write_bytes(b"precious")
    assert the_one("file", str(foreign))["remedy"].startswith("check it")
    assert [row["result"] for row in findings("--fix")] == [None]
    assert foreign.read_bytes() == b"precious"
    foreign.unlink()


def test_inactive_pool_hides_no_other_finding() -> None:
    create("pooled")
    virsh("pool-destroy", "shctl")
    (BOOT / "nobody").mkdir(parents=True)
    try:
        found = findings("--fix")
    finally:
        virsh("pool-start", "shctl")
    assert str(BOOT / "nobody") in {row["name"] for row in found}
    assert "shctl" in {row["name"] for row in found if row["kind"] == "pool"}
    assert (VOLUMES / "pooled-sda").exists()
    delete("pooled")


def test_locked_host_is_left_alone() -> None:
    create("busy", "--start")
    pid = qemu_pid("busy")
    assert findings("--fix") == []
    assert qemu_pid("busy") == pid
    delete("busy")


def test_file_of_an_adopted_host_that_is_none_of_its_disks() -> None:
    """As after a removal of the disk that was interrupted before the file was removed."""
    image = Path("/var/lib/libvirt/images/own.img")
    image.parent.mkdir(exist_ok=True)
    call("truncate", "-s", "1M", str(image))
    create("old")
    virsh("metadata", "old", "urn:shctl:host:1", "--remove")
    virsh("attach-disk", "old", str(image), "sdb", "--config", "--targetbus", "scsi")
    ok("hosts", "adopt", "old", "--own-disk", str(image), "--own-disk", f"{VOLUMES}/old-sda")
    assert findings() == []
    virsh("detach-disk", "old", "sdb", "--config")
    found = the_one("host", "old")
    assert (str(image) in found["problem"], found["result"]) == (True, None)
    assert [row["result"] for row in findings("--fix")] == [None]
    image.unlink()
    assert findings() == []
    delete("old")
