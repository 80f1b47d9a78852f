"""`shctl hosts adopt`: shctl manages foreign hosts, and owns only the disks that are named."""

import json
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from tests.support import call, connected, create, define, immutable, ok, run

pytestmark = pytest.mark.usefixtures("vlan10")

# As virt-install writes it.
DOMAIN = """
<domain type='qemu'>
  <name>{name}</name><memory unit='KiB'>65536</memory><vcpu>1</vcpu>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
  </metadata>
  <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>
  <devices>{devices}</devices>
</domain>
"""
DISK = """<disk type='file' device='disk'>
  <driver name='qemu' type='raw'/><source file={path}/><target dev='{target}' bus='virtio'/>
</disk>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory that QEMU's user can traverse, with two disks outside any pool."""
    for name in ("a.img", "b&'<.img"):
        (tmp_path / name).write_bytes(b"\0" * 4096)
    return tmp_path


@pytest.fixture
def old(folder: Path) -> Iterator[Path]:
    """Define a host old1 with both disks; remove what is left of it afterwards."""
    plant("old1", folder / "a.img", folder / "b&'<.img")
    yield folder
    forget("old1")


def plant(name: str, *disks: Path) -> None:
    rows = [
        DISK.format(path=quoteattr(str(path)), target=f"vd{'ab'[i]}")
        for i, path in enumerate(disks)
    ]
    define(DOMAIN.format(name=name, devices="".join(rows)))


def forget(name: str) -> None:
    with connected() as connection:
        for domain in connection.listAllDomains():
            if domain.name() == name:
                domain.undefine()


def test_disks_are_kept_unless_named(old: Path) -> None:
    adopted = json.loads(ok("-o", "json", "hosts", "adopt", "old1"))
    assert adopted["managed"] is True
    assert [disk["owned"] for disk in adopted["disks"]] == [False, False]
    assert "debian.org" in call("virsh", "dumpxml", "old1"), "foreign metadata is lost"
    gone = json.loads(ok("-o", "json", "hosts", "delete", "--yes", "old1"))
    assert gone[0]["kept"] == [f"{old}/a.img", f"{old}/b&'<.img"]
    assert len(list(old.iterdir())) == 2


@pytest.mark.parametrize("name", ["a.img", "b&'<.img"])
def test_named_file_is_deleted_and_the_other_kept(name: str, old: Path) -> None:
    ok("hosts", "adopt", "old1", "--own-disk", str(old / name))
    ok("hosts", "delete", "--yes", "old1")
    assert [file.name for file in old.iterdir()] == list({"a.img", "b&'<.img"} - {name})


def test_host_is_unchanged_if_its_file_cannot_be_removed(old: Path) -> None:
    """This happens to the service, which may write only to some directories."""
    ok("hosts", "adopt", "old1", "--own-disk", str(old / "a.img"))
    before = call("virsh", "dumpxml", "old1")
    with immutable(old):
        done = run("hosts", "delete", "--yes", "old1")
    assert (done.code, done.err.count("\n")) == (4, 1)
    assert (
        f"its disk {old}/a.img cannot be removed, because this process cannot write to {old}"
        in done.err
    )
    assert call("virsh", "dumpxml", "old1") == before
    ok("hosts", "delete", "--yes", "old1")


def test_named_volume_is_deleted() -> None:
    call("virsh", "vol-create-as", "shctl", "loose", "1M", "--format", "raw")
    path = Path("/var/lib/shctl/volumes/loose")
    plant("old1", path)
    ok("hosts", "adopt", "old1", "--own-disk", str(path))
    ok("hosts", "delete", "--yes", "old1")
    assert not path.exists()


def test_disk_of_no_domain(old: Path) -> None:
    done = run("hosts", "adopt", "old1", "--own-disk", "/etc/passwd")
    assert done.code == 2
    assert f"its disks are: {old}/a.img" in done.err
    assert run("hosts", "delete", "--yes", "old1").code == 4, "half adopted"


def test_disk_that_another_host_uses(old: Path) -> None:
    plant("old2", old / "b&'<.img")
    try:
        done = run("hosts", "adopt", "old1", "--own-disk", str(old / "b&'<.img"))
        assert (done.code, "also used by old2" in done.err) == (4, True)
    finally:
        forget("old2")


def test_adopting_a_managed_host_is_a_conflict(old: Path) -> None:
    ok("hosts", "adopt", "old1")
    assert run("hosts", "adopt", "old1").code == 4
    create("own")
    assert run("hosts", "adopt", "own").code == 4
    ok("hosts", "delete", "--yes", "own")
    assert run("hosts", "adopt", "nowhere").code == 3


def test_running_host(folder: Path) -> None:
    (folder / "a.img").chmod(0o666)
    for parent in (folder, *folder.parents):
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    plant("old1", folder / "a.img")
    ok("hosts", "start", "old1")
    adopted = json.loads(ok("-o", "json", "hosts", "adopt", "old1"))
    assert (adopted["managed"], adopted["state"]) == (True, "running")
    ok("hosts", "delete", "--yes", "old1")


def test_transient_host_is_refused() -> None:
    with connected() as connection:
        domain = connection.createXML(DOMAIN.format(name="brief", devices=""), 0)
        try:
            done = run("hosts", "adopt", "brief")
            assert (done.code, "is transient" in done.err) == (4, True)
        finally:
            domain.destroy()


@pytest.mark.parametrize("name", ["*", "$(id)", "-x", "A b"])
def test_deletion_of_a_host_with_any_name_affects_no_other(name: str) -> None:
    """shctl finds its files by the host's name; a foreign name must not match several hosts."""
    boot = Path("/var/lib/shctl/boot/web1/kernel")
    rotated = Path("/var/log/shctl/console/web1.log.0")
    for file in (boot, rotated):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    define(DOMAIN.format(name=name, devices=""))
    ok("hosts", "adopt", "--", name)
    ok("hosts", "delete", "--yes", "--", name)
    for file in (boot, rotated):
        file.unlink()
    boot.parent.rmdir()


def test_dry_run(old: Path) -> None:
    disk = str(old / "a.img")
    done = run("-o", "json", "hosts", "adopt", "old1", "--own-disk", disk, "--dry-run")
    assert done.code == 0, done
    assert [step["action"] for step in done.json["steps"]] == ["adopt"]
    assert not json.loads(ok("-o", "json", "hosts", "show", "old1"))["managed"]
    wrong = ("hosts", "adopt", "old1", "--own-disk", "/nowhere")
    assert run(*wrong, "--dry-run") == run(*wrong)
    ok("hosts", "adopt", "old1", "--own-disk", disk)
    assert run("hosts", "adopt", "old1", "--dry-run").code == 4
