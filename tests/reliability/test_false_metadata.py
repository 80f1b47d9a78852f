"""Scoreboard R39: false metadata, copies of hosts, and names that are not file names.

Anyone in group libvirt can write metadata, and virt-clone copies it: nothing that it lists is
removed unless it is a disk of the same host.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lxml import etree

from shctl import doctor
from shctl.common import paths
from shctl.common.errors import InvalidInput
from shctl.hosts import deletion_state, details, installation, qemulog
from shctl.hosts.console_log import log_path
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definitions
from shctl.install import boot_files
from shctl.storage.usage import DiskUsage
from shctl.xml import metadata
from tests.scoreboard import rounds
from tests.support import (
    SHCTL,
    URI,
    VOLUMES,
    call,
    connected,
    create,
    define,
    environment,
    ok,
    run,
)
from tests.systemd_unit import as_service, serving_as_service

pytestmark = pytest.mark.usefixtures("vlan10")

UUID = "11111111-2222-4333-8444-555555555555"
OPEN = (
    '<install phase="{}" started="2020-01-01T00:00:00Z" deadline="2020-01-01T00:00:00Z"'
    ' location="http://127.0.0.1:1/"/>'
)
HOST = """<domain type="qemu"><name>{name}</name><uuid>{uuid}</uuid>
<metadata><shctl:host xmlns:shctl="urn:shctl:host:1" {attributes}>{listed}</shctl:host></metadata>
<memory unit="MiB">32</memory><os><type arch="x86_64" machine="q35">hvm</type></os>
<on_reboot>destroy</on_reboot><devices>{devices}</devices></domain>"""
DISK = """<disk type="file" device="{device}"><driver name="qemu" type="raw"/>
<source file="{path}"/><target dev="sda" bus="scsi"/>{more}</disk>"""
STATE = (Path("/var/lib/shctl"), Path("/var/log/shctl"), Path("/etc/shctl"))


def plant(listed: str = "", attributes: str = "", devices: str = "", *, name: str = "evil") -> None:
    define(HOST.format(name=name, uuid=UUID, listed=listed, attributes=attributes, devices=devices))


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Remove the test's domain by UUID: virsh does not accept names like `..`."""
    yield
    with connected() as connection:
        for found in connection.listAllDomains():
            if found.UUIDString() == UUID:
                found.undefine()


def facts(*tops: Path) -> dict[str, object]:
    """Return contents and attributes of files, including mode and owner."""
    found: dict[str, object] = {}
    for path in (file for top in tops for file in (top, *sorted(top.rglob("*")))):
        seen = path.lstat()
        content = path.read_bytes()[:4096] if path.is_file() else None
        found[str(path)] = (seen.st_mode, seen.st_uid, seen.st_ino, seen.st_size, content)
    return found


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Path]:
    """Return a directory with foreign files, one of them a volume of a pool."""
    for name in ("secret", "image.iso"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "inside").touch()
    (tmp_path / "link").symlink_to("secret")
    (tmp_path / "hard").hardlink_to(tmp_path / "image.iso")
    (tmp_path / "other-sda").write_bytes(b"a disk of another")
    call("virsh", "pool-create-as", "isos", "dir", "--target", str(tmp_path))
    yield tmp_path
    call("virsh", "pool-destroy", "isos")


BOUND = f'uuid="{UUID}"'
ATTRIBUTES = [BOUND, 'complete="no"', "", f'{BOUND} complete="no"']
LIES = {
    "path": '<disk path="{d}/secret"/>',
    "link": '<disk path="{d}/link"/>',
    "directory": '<disk path="{d}/directory"/>',
    "device": '<disk path="/dev/null"/>',
    "nowhere": '<disk path="{d}/secret/../nothing"/>',
    "volume": '<volume pool="isos" name="image.iso"/>',
    "volume of another name": '<volume pool="isos" name="other-sda"/>',
    "volume by a path": '<volume pool="shctl" name="../../../..{d}/secret"/>',
    "many": '<disk path="{d}/secret"/>' * 20000 + '<volume pool="isos" name="image.iso"/>',
    "all": '<disk path="{d}/hard"/><disk path="{d}/secret"/><volume pool="isos" name="image.iso"/>',
}


def by_command() -> None:
    done = run("hosts", "delete", "--yes", "evil")
    assert done.code in (0, 4), done


def by_doctor() -> None:
    done = run("doctor", "--fix")
    assert done.code in (0, 1), done
    run("hosts", "delete", "--yes", "evil")


def by_doctor_as_service() -> None:
    done = subprocess.run(
        as_service(*SHCTL, "doctor", "--fix"), env=environment(), capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("attributes", ATTRIBUTES[: rounds(4, 2)])
def test_r39_only_disks_of_the_host_are_removed(lie: str, attributes: str, foreign: Path) -> None:
    before = facts(foreign)
    plant(LIES[lie].format(d=foreign), attributes)
    by_doctor() if "complete" in attributes else by_command()
    assert facts(foreign) == before


@pytest.mark.parametrize("lie", ["path", "volume"])
def test_r39_service_removes_no_more(lie: str, foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    plant(LIES[lie].format(d=foreign), f'{BOUND} complete="no"')
    before = facts(foreign / "secret", foreign / "image.iso")
    by_doctor_as_service()
    plant(LIES[lie].format(d=foreign), BOUND)
    with serving_as_service(tmp_path / "server") as server:
        reply = server.client.ask("DELETE", "/hosts/evil")
    assert reply.status in (204, 409), reply
    assert facts(foreign / "secret", foreign / "image.iso") == before


@pytest.mark.parametrize(
    ("device", "more"),
    [("cdrom", ""), ("disk", "<readonly/>"), ("disk", "<shareable/>")],
    ids=["cdrom", "readonly", "shareable"],
)
def test_r39_shared_disk_is_kept(device: str, more: str, foreign: Path) -> None:
    path = foreign / "secret"
    disk = DISK.format(device=device, path=path, more=more)
    plant(f'<disk path="{path}"/><volume pool="isos" name="image.iso"/>', BOUND, disk)
    before = facts(foreign)
    ok("hosts", "delete", "--yes", "evil")
    assert facts(foreign) == before


def test_r39_link_in_the_xml_is_not_followed(foreign: Path) -> None:
    path = foreign / "link"
    plant(f'<disk path="{path}"/>', BOUND, DISK.format(device="disk", path=path, more=""))
    before = facts(foreign / "secret")
    ok("hosts", "delete", "--yes", "evil")
    assert facts(foreign / "secret") == before


def test_r39_path_in_the_xml_is_removed_and_not_its_alias(tmp_path: Path) -> None:
    """Both name one file; the XML determines which path is the host's disk."""
    (tmp_path / "own.img").write_bytes(b"own")
    (tmp_path / "alias").hardlink_to(tmp_path / "own.img")
    disk = DISK.format(device="disk", path=tmp_path / "own.img", more="")
    plant(f'<disk path="{tmp_path}/alias"/>', BOUND, disk)
    ok("hosts", "delete", "--yes", "evil")
    assert [path.name for path in tmp_path.iterdir()] == ["alias"]


def test_r39_modes_of_foreign_files_are_kept(tmp_path: Path) -> None:
    """doctor makes disks private; metadata could name any file."""
    for name in ("a", "b"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    loose = VOLUMES / "loose"
    loose.symlink_to(tmp_path / "b")
    up = os.path.relpath(tmp_path / "a", VOLUMES)
    disk = DISK.format(device="disk", path=loose, more="")
    listed = f'<volume pool="shctl" name="{up}"/><volume pool="shctl" name="loose"/>'
    plant(listed, BOUND, disk)
    run("doctor", "--fix")
    loose.unlink()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


# --- names -------------------------------------------------------------------------------------


@pytest.fixture
def booted() -> Iterator[None]:
    """Create a host's boot files, as during an installation."""
    (paths.boot_files() / "web1").mkdir(parents=True)
    (paths.boot_files() / "web1" / "kernel").touch()
    yield
    (paths.boot_files() / "web1" / "kernel").unlink()
    (paths.boot_files() / "web1").rmdir()


@pytest.mark.usefixtures("booted")
@pytest.mark.parametrize("name", [".", "..", "x" * 230])
@pytest.mark.parametrize("phase", ["installing", "finishing"])
def test_r39_name_that_is_not_a_file_name(name: str, phase: str) -> None:
    """On libvirt's test driver: the QEMU driver loses its own files to a domain `..`."""
    found = Hypervisor("test:///default")
    xml = HOST.format(
        name=name, uuid=UUID, listed=OPEN.format(phase), attributes='created="x"', devices=""
    )
    xml = xml.replace('type="qemu"', 'type="test"').replace("x86_64", "i686")
    planted = found.connection.defineXML(xml)
    before = facts(*(top for top in STATE if top.exists()))
    assert installation.advance_all(found) == []
    assert details.show(found, name).install is None
    doctor.examine(found)
    usage = DiskUsage(found, Definitions(found))
    state = deletion_state.read_state(found, found.domain(name), usage)
    assert (state.logs, state.has_boot_files) == ((), False)
    planted.undefine()
    assert facts(*(top for top in STATE if top.exists())) == before


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/etc", "a\nb", "a\0b", "x" * 201, "é" * 101]
)
@pytest.mark.parametrize(
    "derive", [boot_files.directory, boot_files.remove_boot_files, log_path, qemulog.path]
)
def test_r39_no_path_comes_from_such_a_name(derive: Callable[[str], object], name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be the name of a file"):
        derive(name)


ODD = {
    "no times": '<install phase="installing"/>',
    "odd times": '<install phase="finishing" started="x" deadline="&#x80;" ended="1e999"/>',
    "long": f'<install phase="failed" reason="{"x" * 200000}" location="{"y" * 200000}"/>',
    "nested": "<install>" * 100 + "</install>" * 100,
    "repeated": OPEN.format("installed") + OPEN.format("installing"),
    "empty": '<volume/><disk/><install/><volume pool=""/><disk path=""/>',
    "long names": f'<volume pool="{"p" * 9000}" name="n"/><disk path="/{"n" * 9000}"/>',
    "itself": '<shctl:host><install phase="installing"/></shctl:host>',
}


@pytest.mark.parametrize("odd", ODD)
def test_r39_invalid_metadata_is_not_an_unexpected_error(odd: str) -> None:
    plant(ODD[odd], 'created="&#x9b;31m"')
    installation.advance_all(Hypervisor(URI))
    shown = run("-o", "json", "hosts", "show", "evil")
    assert shown.code == 0, shown
    assert shown.json["created"] == ""
    assert len(shown.out) < 20000
    for argv in (["hosts", "list"], ["hosts", "log", "evil"], ["hosts", "delete", "--yes", "evil"]):
        done = run(*argv)
        assert done.code in (0, 4), done
        assert "unexpected" not in done.err


def test_r39_metadata_deeper_than_parsers_go() -> None:
    """libvirt accepts it 255 elements deep, and stores it two levels deeper."""
    plant()
    deep = "<host>" + "<a>" * 254 + "</a>" * 254 + "</host>"
    with connected() as connection:
        connection.lookupByName("evil").setMetadata(2, deep, metadata.KEY, metadata.URI, 2)
    ok("hosts", "show", "evil")
    assert run("doctor").code in (0, 1)
    ok("hosts", "delete", "--yes", "evil")


# --- copies ------------------------------------------------------------------------------------


def clone(original: str, copy: str) -> Path:
    """Clone a host and its disk like virt-clone, which takes 3 s; return the new disk."""
    call("virsh", "vol-clone", "--pool", "shctl", f"{original}-sda", f"{original}-sda-clone")
    root = etree.fromstring(call("virsh", "dumpxml", "--inactive", original))
    for tag in ("uuid", "devices/interface"):
        element = root.find(tag)
        assert element is not None
        element.getparent().remove(element)  # type: ignore[union-attr]
    text = etree.tostring(root, encoding="unicode").replace(f"<name>{original}", f"<name>{copy}")
    define(text.replace(f"volumes/{original}-sda", f"volumes/{original}-sda-clone"))
    return VOLUMES / f"{original}-sda-clone"


def test_r39_clone_by_virt_clone() -> None:
    create("web1")
    disk = VOLUMES / "web1-sda-clone"
    call("virt-clone", "-q", "--connect", URI, "-o", "web1", "-n", "web2", "--auto-clone")
    done = run("hosts", "delete", "--yes", "web2")
    assert (done.code, "shctl hosts adopt web2" in done.err) == (4, True), done
    ok("hosts", "adopt", "web2", "--own-disk", str(disk))
    ok("hosts", "delete", "--yes", "web2")
    assert (disk.exists(), (VOLUMES / "web1-sda").exists()) == (False, True)
    ok("hosts", "delete", "--yes", "web1")


def forget_uuid(name: str) -> None:
    """Leave metadata as the previous version wrote it."""
    with connected() as connection:
        found = connection.lookupByName(name)
        element = found.metadata(2, metadata.URI)
        old = element.replace(f' uuid="{found.UUIDString()}"', "")
        old = old.replace(f" uuid='{found.UUIDString()}'", "")
        assert old != element
        found.setMetadata(2, old, metadata.KEY, metadata.URI, 2)


@pytest.mark.parametrize("original", [True, False], ids=["with its original", "without"])
@pytest.mark.parametrize("version", ["this", "previous"])
def test_r39_clone_takes_nothing_of_its_original(original: bool, version: str) -> None:
    create("web1")
    if version == "previous":
        forget_uuid("web1")
    disk = clone("web1", "web2")
    (VOLUMES / "web1-sda").write_bytes(b"original")
    if not original:
        call("virsh", "undefine", "web1")
    shown = json.loads(ok("-o", "json", "hosts", "show", "web2"))
    assert shown["managed"] is (version == "previous")
    assert [row["owned"] for row in shown["disks"]] == [False]
    if version == "this":
        done = run("hosts", "delete", "--yes", "web2")
        assert (done.code, "shctl hosts adopt web2" in done.err) == (4, True), done
    ok("hosts", "adopt", "web2", "--own-disk", str(disk))
    ok("hosts", "delete", "--yes", "web2")
    assert not disk.exists()
    assert (VOLUMES / "web1-sda").read_bytes() == b"original"
    if original:
        assert json.loads(ok("-o", "json", "hosts", "show", "web1"))["managed"] is True
        ok("hosts", "delete", "--yes", "web1")
        assert not (VOLUMES / "web1-sda").exists()
        return
    (VOLUMES / "web1-sda").unlink()
    Path("/var/log/shctl/console/web1.log").unlink(missing_ok=True)
    call("virsh", "pool-refresh", "shctl")


def test_r39_clone_of_an_old_host_takes_nothing_unadopted() -> None:
    create("web1")
    forget_uuid("web1")
    disk = clone("web1", "web2")
    gone = json.loads(ok("-o", "json", "hosts", "delete", "--yes", "web2"))
    assert gone[0]["kept"] == [str(disk)]
    assert (VOLUMES / "web1-sda").exists()
    ok("hosts", "delete", "--yes", "web1")
    call("virsh", "vol-delete", disk.name, "shctl")


def test_r39_clone_of_an_interrupted_host_is_left_by_doctor() -> None:
    create("web1")
    forget_uuid("web1")
    disk = clone("web1", "web2")
    with connected() as connection:
        found = connection.lookupByName("web2")
        element = found.metadata(2, metadata.URI).replace("created", "complete='no' created")
        found.setMetadata(2, element, metadata.KEY, metadata.URI, 2)
    run("doctor", "--fix")
    assert run("hosts", "show", "web2").code == 0
    assert disk.exists()
    ok("hosts", "delete", "--yes", "web1", "web2")
    call("virsh", "vol-delete", disk.name, "shctl")


def test_r39_renamed_host_keeps_its_disks_until_its_deletion() -> None:
    create("web1")
    call("virsh", "domrename", "web1", "web9")
    again = run(*"hosts create web1 --memory 64 --disk 1 --network vlan10".split())
    assert (again.code, "belongs to web9" in again.err) == (4, True), again

    ok("hosts", "delete", "--yes", "web9")
    assert not (VOLUMES / "web1-sda").exists()


@pytest.mark.parametrize("attributes", ["", BOUND])
def test_r39_interrupted_creation_removes_only_volumes_of_its_name(attributes: str) -> None:
    for name in ("evil-sda", "evil-x-sda", "evilsda", "other-sda"):
        call("virsh", "vol-create-as", "shctl", name, "1M", "--format", "raw")
    names = ("evil-sda", "evil-x-sda", "other-sda")
    plant(
        "".join(f'<volume pool="shctl" name="{name}"/>' for name in names),
        f'{attributes} complete="no"',
    )
    ok("hosts", "delete", "--yes", "evil")
    left = sorted(path.name for path in VOLUMES.iterdir())
    assert left == ["evil-x-sda", "evilsda", "other-sda"]
    for name in left:
        call("virsh", "vol-delete", name, "shctl")


UEFI = """<domain type="qemu"><name>{name}</name><uuid>{uuid}</uuid>
<metadata>{metadata}</metadata><memory unit="MiB">32</memory><features><acpi/></features>
<os><type arch="x86_64" machine="q35">hvm</type>
<loader readonly="yes" type="pflash">/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram>{nvram}</nvram>
</os></domain>"""
NVRAM = Path("/var/lib/libvirt/qemu/nvram")
OTHER = "11111111-2222-4333-8444-666666666666"


def bound(attributes: str = BOUND) -> str:
    return f'<shctl:host xmlns:shctl="urn:shctl:host:1" created="x" {attributes}/>'


@pytest.fixture
def victim() -> Iterator[Path]:
    """Return the file with the UEFI variables of another host."""
    NVRAM.mkdir(parents=True, exist_ok=True)
    path = NVRAM / "victim_VARS.fd"
    path.write_bytes(b"variables")
    define(UEFI.format(name="victim", uuid=OTHER, metadata="", nvram=path))
    yield path
    call("virsh", "undefine", "victim", "--keep-nvram")
    path.unlink()


@pytest.mark.parametrize("name", ["secret", "victim", "link"])
@pytest.mark.parametrize("by", [by_command, by_doctor])
def test_r39_foreign_uefi_variables_are_kept(
    name: str, by: Callable[[], None], victim: Path, foreign: Path
) -> None:
    """libvirt would remove any file that the XML names as nvram."""
    own = NVRAM / "evil_VARS.fd"
    if name == "link":
        own.symlink_to(victim)
    path = {"secret": foreign / "secret", "victim": victim, "link": own}[name]
    before = facts(foreign, NVRAM)
    metadata_ = bound(ATTRIBUTES[3] if by is by_doctor else BOUND)
    define(UEFI.format(name="evil", uuid=UUID, metadata=metadata_, nvram=path))
    by()
    assert run("hosts", "show", "evil").code == 3
    assert facts(foreign, NVRAM) == before
    own.unlink(missing_ok=True)


def test_r39_own_uefi_variables_are_removed() -> None:
    NVRAM.mkdir(parents=True, exist_ok=True)
    own = NVRAM / "evil_VARS.fd"
    own.touch()
    define(UEFI.format(name="evil", uuid=UUID, metadata=bound(), nvram=own))
    ok("hosts", "delete", "--yes", "evil")
    assert not own.exists()


def test_r39_existing_uefi_variables_are_not_adopted(victim: Path) -> None:
    create = ["hosts", "create", "victim2", "--memory", "64", "--network", "vlan10"]
    left = NVRAM / "victim2_VARS.fd"
    left.touch()
    done = run(*create, "--disk", "1", "--firmware", "uefi")
    assert (done.code, str(left) in done.err) == (4, True), done
    call("virsh", "domrename", "victim", "victim1")
    left.unlink()
    define(UEFI.format(name="victim1", uuid=OTHER, metadata="", nvram=left))
    done = run(*create, "--disk", "1", "--firmware", "uefi")
    assert (done.code, "used by victim1" in done.err) == (4, True), done
    call("virsh", "domrename", "victim1", "victim")


def test_r39_log_of_a_renamed_host_is_kept(foreign: Path) -> None:
    create("web", "--start")
    ok("hosts", "stop", "web", "--force")
    call("virsh", "domrename", "web", "old")
    log = log_path("web")
    log.write_text("of old")
    command = "hosts create web --memory 64 --disk 1 --network vlan10 --pool isos".split()
    done = run(*command)
    assert (done.code, "to which host 'old'" in done.err) == (4, True), done
    plant("", BOUND, name="web")
    ok("hosts", "delete", "--yes", "web")
    assert log.read_text() == "of old"
    ok("hosts", "delete", "--yes", "old")
    assert not log.exists()


def test_r39_doctor_keeps_foreign_files_in_shctls_directories(tmp_path: Path) -> None:
    """Logs of other devices, directories, lost+found, links to other places."""
    logs = log_path("x").parent
    logs.mkdir(parents=True, exist_ok=True)
    serial = f'<parallel type="pty"><log file="{logs}/printer.log"/></parallel>'
    define(HOST.format(name="evil", uuid=UUID, listed="", attributes="", devices=serial))
    (logs / "printer.log").touch(0o600)
    (logs / "archive.log").mkdir(0o755)
    # These belong to a deleted host and are removed.
    (logs / "gone.log").touch(0o600)
    paths.boot_files().mkdir(exist_ok=True)
    for path in (paths.boot_files() / "lost+found", paths.boot_files() / "docs", tmp_path / "a"):
        path.mkdir()
        (path / "#12").touch()
    (paths.boot_files() / "gone").mkdir()
    (paths.boot_files() / "gone" / "kernel").touch()
    before = facts(
        logs / "printer.log", logs / "archive.log", paths.boot_files() / "docs", tmp_path
    )
    try:
        assert run("doctor", "--fix").out.count("fixed") == 2
        assert (paths.boot_files() / "lost+found" / "#12").exists()
        assert not (logs / "gone.log").exists()
        assert not (paths.boot_files() / "gone").exists()
        paths.boot_files().rename(away := paths.boot_files().with_name("boot.away"))
        paths.boot_files().symlink_to(tmp_path)
        ok("doctor", "--fix")
        paths.boot_files().unlink()
        away.rename(paths.boot_files())
        after = facts(
            logs / "printer.log", logs / "archive.log", paths.boot_files() / "docs", tmp_path
        )
        assert after == before
    finally:
        for path in (
            paths.boot_files() / "lost+found" / "#12",
            paths.boot_files() / "docs" / "#12",
        ):
            path.unlink(missing_ok=True)
            path.parent.rmdir()
        (logs / "archive.log").rmdir()
        (logs / "printer.log").unlink()


@pytest.mark.parametrize("shared", ["a host", "a link"])
def test_r39_mode_of_a_foreign_disk_is_kept(shared: str, tmp_path: Path) -> None:
    disk = VOLUMES / "golden.img"
    disk.write_bytes(bytes(4096))
    disk.chmod(0o644)
    call("virsh", "pool-refresh", "shctl")
    device = DISK.format(device="disk", path=disk, more="")
    if shared == "a host":
        define(HOST.format(name="owner", uuid=OTHER, listed="", attributes="", devices=device))
        call("virsh", "metadata", "owner", "urn:shctl:host:1", "--remove")
    else:
        (VOLUMES / "other").hardlink_to(disk)
    plant('<volume pool="shctl" name="golden.img"/>', BOUND, device)
    run("doctor", "--fix")
    assert disk.stat().st_mode & 0o777 == 0o644
    if shared == "a host":
        call("virsh", "undefine", "owner")
    (VOLUMES / "other").unlink(missing_ok=True)
    disk.unlink()
    call("virsh", "pool-refresh", "shctl")


@pytest.mark.parametrize("attributes", ATTRIBUTES[1::2])
def test_r39_doctor_does_not_stop_a_foreign_guest(attributes: str, tmp_path: Path) -> None:
    """A transient host is never shctl's own; its metadata does not matter."""
    file = tmp_path / "evil.xml"
    file.write_text(
        HOST.format(name="evil", uuid=UUID, listed="", attributes=attributes, devices="")
    )
    call("virsh", "create", str(file))
    run("doctor", "--fix")
    assert "running" in call("virsh", "domstate", "evil")
    call("virsh", "destroy", "evil")
