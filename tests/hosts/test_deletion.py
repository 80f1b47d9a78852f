"""Deletion of hosts on the real libvirt, and what it keeps."""

import json
from pathlib import Path

import pytest

from tests.support import (
    LOGS,
    VOLUMES,
    call,
    connected,
    create,
    ok,
    run,
    show,
    state,
)

pytestmark = pytest.mark.usefixtures("vlan10")


def test_volume_of_the_same_name_in_another_pool_is_kept(tmp_path: Path) -> None:
    call("virsh", "pool-create-as", "other", "dir", "--target", str(tmp_path))
    try:
        create("web1")
        call("virsh", "vol-create-as", "other", "web1-sda", "1M", "--format", "raw")
        other = str(tmp_path / "web1-sda")
        call("virsh", "attach-disk", "web1", other, "sdb", "--config", "--targetbus", "scsi")
        assert [disk["owned"] for disk in show("web1")["disks"]] == [True, False]
        assert json.loads(ok("-o", "json", "hosts", "delete", "--yes", "web1"))[0]["kept"] == [
            other
        ]
        call("virsh", "vol-delete", "web1-sda", "other")
    finally:
        call("virsh", "pool-destroy", "other")


def test_renamed_host_keeps_its_disk() -> None:
    """A new host under its old name must not lead to its removal."""
    create("old")
    call("virsh", "domrename", "old", "new")
    disk = show("new")["disks"][0]
    assert (disk["path"], disk["owned"]) == (f"{VOLUMES}/old-sda", True)
    done = run(*"hosts create old --memory 64 --disk 1 --network vlan10".split())
    assert (done.code, done.err) == (
        4,
        "shctl: pool 'shctl' has a volume 'old-sda' already, which belongs to new;"
        " choose another name\n",
    )
    call("virsh", "start", "new")
    assert json.loads(ok("-o", "json", "doctor")) == [], "its log is not orphaned"
    call("virsh", "destroy", "new")
    call("virsh", "detach-disk", "new", "sda", "--config")
    done = run(*"hosts create old --memory 64 --disk 1 --network vlan10".split())
    assert (done.code, "belongs to new" in done.err) == (4, True), done
    gone = json.loads(ok("-o", "json", "hosts", "delete", "--yes", "new"))
    assert gone[0]["kept"] == [f"{VOLUMES}/old-sda"], "it is no longer a disk of this host"
    assert not (LOGS / "old.log").exists()
    call("virsh", "vol-delete", "old-sda", "shctl")


def test_nvram_is_created_and_deleted_with_its_host() -> None:
    create("efi", "--firmware", "uefi", "--start")
    assert show("efi")["firmware"] == "uefi"
    assert state("efi") == "running"
    assert list(Path("/var/lib/libvirt/qemu/nvram").glob("efi_VARS*"))
    ok("hosts", "delete", "--yes", "efi")
    assert not list(Path("/var/lib/libvirt/qemu/nvram").glob("efi_VARS*"))


def test_foreign_hosts_can_be_started_and_stopped_but_not_deleted() -> None:
    name, memory = "<name>A b</name>", "<memory>65536</memory>"
    xml = f"<domain type='qemu'>{name}{memory}<os><type>hvm</type></os></domain>"
    with connected() as connection:
        domain = connection.defineXML(xml)
        try:
            assert "A b" in ok("-o", "name", "hosts", "list").splitlines()
            assert show("A b")["managed"] is False
            assert "started" in ok("hosts", "start", "A b")
            assert "powered off" in ok("hosts", "stop", "A b", "--force")
            refused = run("hosts", "delete", "--yes", "A b")
            assert refused.code == 4
            assert "'shctl hosts adopt A b' takes it over" in refused.err
        finally:
            domain.undefine()
