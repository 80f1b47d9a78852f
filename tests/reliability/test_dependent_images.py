"""Scoreboard R40: a disk that an image depends on is kept, however the image names it.

The deletion is refused if an image's dependencies cannot be determined.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shctl.hosts import deletion
from shctl.hypervisor.connection import Hypervisor
from shctl.storage import images, usage
from tests.support import URI, VOLUMES, call, create, define, eventually, ok, prepare, run
from tests.systemd_unit import HOME, serving_as_service, serving_as_unit

pytestmark = pytest.mark.hypervisor

BASE = VOLUMES / "base-sda"
SHARED = Path("/var/lib/libvirt/images")  # QEMU's user can traverse it
HOST = """<domain type='qemu'><name>{name}</name><memory>65536</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{devices}</devices></domain>"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='{kind}'/><source file='{path}'/>
<target dev='sda' bus='scsi'/></disk>"""
VMDK = """# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"

# Extent description
RW 2097152 FLAT "{base}" 0
"""

Make = Callable[[Path, Path], None]  # the image, and the file below it


def overlay(kind: str, name: str, *options: str) -> Make:
    """Return a function that creates an image whose backing file has a given name."""

    def make(image: Path, base: Path) -> None:
        near = os.path.relpath(base, image.parent)
        backing = name.replace("BASE", str(base)).replace("NEAR", near)
        # In the image's directory: QEMU resolves relative names from there.
        call(
            "env", "-C", str(image.parent), "qemu-img", "create", "-q", "-f", kind, "-F", "raw",
            "-b", backing, *options, str(image), "1G",
        )  # fmt: skip

    return make


def rebased(name: str, kind: str = "raw") -> Make:
    """Return a function that creates an image with any backing name, valid or not."""

    def make(image: Path, base: Path) -> None:
        backing = name.replace("BASE", str(base))
        overlay("qcow2", "BASE")(image, base)
        call("qemu-img", "rebase", "-u", "-fqcow2", f"-F{kind}", f"-b{backing}", str(image))

    return make


def on_a_link(image: Path, base: Path) -> None:
    image.with_suffix(".link").symlink_to(base)
    overlay("qcow2", "BASE")(image, image.with_suffix(".link"))


def in_two_steps(image: Path, base: Path) -> None:
    lower = image.with_suffix(".lower")
    overlay("qcow2", "BASE")(lower, base)
    call("qemu-img", "create", "-q", "-fqcow2", "-Fqcow2", f"-b{lower}", str(image))


def with_data_file(image: Path, base: Path) -> None:
    options = f"data_file={base},data_file_raw=on"
    call("qemu-img", "create", "-q", "-fqcow2", "-o", options, str(image), "1G")


def with_extent(image: Path, base: Path) -> None:
    image.write_text(VMDK.format(base=base))


NESTED = 'json:{"driver": "raw", "file": {"driver": "file", "filename": "BASE"}}'
SPELLINGS = {
    "qcow2": overlay("qcow2", "BASE"),
    "qcow2 as it was": overlay("qcow2", "BASE", "-ocompat=0.10"),
    "relative": overlay("qcow2", "NEAR"),
    "file:": overlay("qcow2", "file:BASE"),
    "json: nested": overlay("qcow2", NESTED),
    "json: with dots": overlay("qcow2", 'json:{"driver": "raw", "file.filename": "BASE"}'),
    "json: file": rebased('json:{"driver": "file", "filename": "BASE"}'),
    "qed": overlay("qed", "BASE"),
    "qcow": overlay("qcow", "BASE"),
    "vmdk": with_extent,
    "a link": on_a_link,
    "two steps": in_two_steps,
    "data file": with_data_file,
}


@pytest.fixture(scope="module", autouse=True)
def _base() -> Iterator[None]:
    """Create the host whose disk all tests use."""
    prepare()
    create("base")
    yield
    ok("hosts", "delete", "--yes", "base")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a directory outside any pool."""
    path = SHARED / "r40"
    path.mkdir(mode=0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def pool(folder: Path) -> Iterator[Path]:
    """Return the directory of a pool."""
    call("virsh", "pool-create-as", "images", "dir", "--target", str(folder))
    yield folder
    call("virsh", "pool-destroy", "images")


def host_of(image: Path, kind: str) -> None:
    define(HOST.format(name="user", devices=DISK.format(path=image, kind=kind)))


@pytest.fixture
def _user() -> Iterator[None]:
    yield
    call("virsh", "undefine", "user", "--snapshots-metadata")


def refused(*words: str) -> str:
    """Check that host `base` is kept, that the error says why, and that nothing changes.

    Return the error.
    """
    before = call("virsh", "dumpxml", "base")
    done = run("hosts", "delete", "--yes", "base")
    assert (done.code, done.err.count("\n")) == (4, 1), done
    assert "host 'base' is kept" in done.err
    assert not [word for word in words if word not in done.err], done.err
    assert BASE.exists()
    assert call("virsh", "dumpxml", "base") == before
    return done.err


@pytest.mark.usefixtures("_user")
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_r40_image_of_a_stored_host(spelling: str, folder: Path) -> None:
    image = folder / "image"
    SPELLINGS[spelling](image, BASE)
    kinds = {"qed": "qed", "qcow": "qcow", "vmdk": "vmdk"}
    host_of(image, kinds.get(spelling, "qcow2"))
    refused("user", str(folder))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_r40_image_of_no_host_in_a_pool(spelling: str, pool: Path) -> None:
    """libvirt has not refreshed the pool since."""
    SPELLINGS[spelling](pool / "image", BASE)
    said = refused(str(pool), "an image of no host", "; remove that image first")
    assert "detach" not in said


def test_r40_image_next_to_the_disk_and_in_an_inactive_pool(folder: Path) -> None:
    overlay("qcow2", "BASE")(VOLUMES / "overlay", BASE)
    refused(str(VOLUMES / "overlay"))
    (VOLUMES / "overlay").unlink()
    call("virsh", "pool-define-as", "off", "dir", "--target", str(folder))
    overlay("qcow2", "BASE")(folder / "image", BASE)
    try:
        refused(str(folder / "image"))
    finally:
        call("virsh", "pool-undefine", "off")


@pytest.mark.usefixtures("_user")
def test_r40_image_of_a_running_host(folder: Path) -> None:
    image = folder / "image"
    overlay("qcow2", "BASE")(image, BASE)
    host_of(image, "qcow2")
    call("virsh", "start", "user")
    refused("user")
    # Its next start will not use the image, but it is in use now.
    call("virsh", "detach-disk", "user", "sda", "--config")
    refused("user")
    call("virsh", "destroy", "user")


@pytest.mark.usefixtures("_user")
def test_r40_cdrom_and_volume_by_name(pool: Path) -> None:
    overlay("qcow2", "BASE")(pool / "image", BASE)
    call("virsh", "pool-refresh", "images")
    disk = DISK.format(path="", kind="qcow2").replace("device='disk'", "device='cdrom'")
    volume = disk.replace("file=''", "pool='images' volume='image'").replace("'file'", "'volume'")
    define(HOST.format(name="user", devices=volume.replace("bus='scsi'", "bus='sata'")))
    refused("user")


@pytest.mark.parametrize("running", [False, True])
def test_r40_external_snapshot(running: bool) -> None:
    create("snap", *(["--start"] if running else []))
    call("virsh", "snapshot-create-as", "snap", "s1", "--disk-only")
    before = call("virsh", "dumpxml", "snap")
    done = run("hosts", "delete", "--yes", "snap")
    assert (done.code, "as after an external snapshot" in done.err) == (4, True), done
    assert call("virsh", "dumpxml", "snap") == before
    top = VOLUMES / "snap-sda.s1"
    assert f" remove {top}, then delete the host" in done.err
    assert call("qemu-img", "info", "-U", "--backing-chain", str(top)).count("image: ") == 2
    if running:
        call("virsh", "blockcommit", "snap", "sda", "--active", "--pivot", "--wait")
        top.unlink()
        ok("hosts", "delete", "--yes", "snap")
        return
    call("virsh", "undefine", "snap", "--snapshots-metadata")
    top.unlink()
    (VOLUMES / "snap-sda").unlink()
    Path("/var/log/shctl/console/snap.log").unlink(missing_ok=True)
    call("virsh", "pool-refresh", "shctl")


def test_r40_host_and_its_base_are_deleted_together(pool: Path) -> None:
    """The disks of the first are read once, and must be forgotten after its deletion."""
    create("lower")
    overlay("qcow2", "BASE")(pool / "image", VOLUMES / "lower-sda")
    host_of(pool / "image", "qcow2")
    ok("hosts", "adopt", "user", "--own-disk", str(pool / "image"))
    done = run("hosts", "delete", "--yes", "lower", "user")
    assert (done.code, "also used by user" in done.err) == (4, True), done
    assert not (pool / "image").exists()
    ok("hosts", "delete", "--yes", "lower")
    create("lower")
    overlay("qcow2", "BASE")(pool / "image", VOLUMES / "lower-sda")
    host_of(pool / "image", "qcow2")
    ok("hosts", "adopt", "user", "--own-disk", str(pool / "image"))
    ok("hosts", "delete", "--yes", "user", "lower")


def going_round(image: Path, base: Path) -> None:
    rebased(str(base), "qcow2")(image, BASE)
    rebased(str(image), "qcow2")(base, BASE)


def test_r40_circular_chain(pool: Path) -> None:
    going_round(pool / "image", pool / "x")
    users = usage.users_of(Hypervisor(URI), [str(BASE)])[str(BASE)]
    assert [str(use) for use in users] == ["base"]


def on_a_fifo(image: Path, base: Path) -> None:
    os.mkfifo(image.with_suffix(".fifo"))
    rebased(str(image.with_suffix(".fifo")), "qcow2")(image, base)


def cut_off(image: Path, base: Path) -> None:
    overlay("qcow2", "BASE")(image, base)
    image.write_bytes(image.read_bytes()[:100])


DARK = {
    "network": rebased("nbd://127.0.0.1:1/x"),
    "json: network": rebased('json:{"driver": "nbd", "host": "127.0.0.1", "port": "1"}'),
    "json: nonsense": rebased("json:{{"),
    "json: odd driver": rebased('json:{"driver": {"driver": "file"}, "filename": "/x"}'),
    "json: no file": rebased('json:{"driver": "raw", "file": "some-node"}'),
    "fifo": on_a_fifo,
    "cut off": cut_off,
}


@pytest.mark.parametrize("case", DARK)
def test_r40_unresolvable_image_is_refused(case: str, pool: Path) -> None:
    """Without waiting and without network access."""
    DARK[case](pool / "image", BASE)
    said = refused("cannot find out what", str(pool), "; repair that image or move it away first")
    assert "did not report" not in said


def test_r40_too_long_chain_is_refused(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = BASE
    for number in range(4):
        overlay("qcow2", "BASE")(pool / f"image{number}", below)
        kind = "raw" if number == 0 else "qcow2"
        base = ["-b", str(below), "-F", kind]
        call("qemu-img", "rebase", "-u", "-f", "qcow2", *base, str(pool / f"image{number}"))
        below = pool / f"image{number}"
    assert str(BASE) in images.dependencies(str(below), "qcow2")
    monkeypatch.setattr(images, "_DEPTH", 3)
    with pytest.raises(images.Unresolved, match="more than 3 images"):
        list(images.dependencies(str(below), "qcow2"))


def test_r40_qemu_img_that_hangs_or_is_missing(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay("qcow2", "BASE")(pool / "image", BASE)
    (tmp_path / "qemu-img").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "qemu-img").chmod(0o755)
    monkeypatch.setattr(images, "TIMEOUT", 0.2)
    for path, words in ((str(tmp_path), "did not report"), ("/nowhere", "install qemu-utils")):
        monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin" if path == str(tmp_path) else path)
        with pytest.raises(images.Unresolved, match=words):
            list(images.dependencies(str(pool / "image"), None))


@pytest.mark.usefixtures("_user")
def test_r40_foreign_images_that_depend_on_no_disk_of_shctl_block_nothing(pool: Path) -> None:
    """Neither does a raw disk on which the guest wrote an image header."""
    for kind in ("vdi", "vhdx", "vpc", "vmdk", "qcow2", "qed"):
        call("qemu-img", "create", "-q", "-f", kind, str(pool / kind), "1M")
    for name, text in (("script", "#!/bin/sh\n"), ("blank", ""), ("text", "version of it")):
        (pool / name).write_text(text)
    (pool / "directory").mkdir()
    (pool / "nowhere").symlink_to("gone")
    os.mkfifo(pool / "fifo")
    overlay("qcow2", "BASE")(pool / "guest", BASE)
    host_of(pool / "guest", "raw")
    create("free")
    ok("hosts", "delete", "--yes", "free")
    users = usage.users_of(Hypervisor(URI), [str(BASE)])[str(BASE)]
    assert [str(use) for use in users] == ["base"]


def test_r40_raw_disks_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rack has about a hundred raw disks."""
    names = [f"cheap{number}" for number in range(3)]
    for name in names:
        create(name)
    started: list[list[str]] = []

    def run_none(argv: list[str], _path: str) -> str:
        started.append(argv)
        raise images.Unresolved("none is to be run")

    monkeypatch.setattr(images, "_run", run_none)
    for name in names:
        assert deletion.delete(Hypervisor(URI), name).result == "deleted"
    assert started == []


# --- files that the service cannot read --------------------------------------------------------


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a directory that ProtectHome= hides."""
    HOME.mkdir(parents=True, exist_ok=True)
    yield HOME
    shutil.rmtree(HOME)


@pytest.mark.usefixtures("_user")
@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_r40_service_keeps_a_disk_that_an_unreadable_image_may_depend_on(
    kind: str, home: Path, tmp_path: Path
) -> None:
    """A raw image may be a link to the disk."""
    if kind == "qcow2":
        overlay("qcow2", "BASE")(home / "image", BASE)
    else:
        (home / "image").symlink_to(BASE)
    host_of(home / "image", kind)
    refused("user")
    with serving_as_service(tmp_path) as server:
        reply = server.client.ask("DELETE", "/hosts/base")
        assert server.client.ok("GET", "/hosts/base")["managed"] is True
        assert server.client.ok("GET", "/hosts/user")["disks"][0]["size"] is None
    assert reply.status == 409, reply
    assert "in a root shell" in reply.json["detail"]
    assert BASE.exists()


def test_r40_service_and_an_unreadable_pool(home: Path, tmp_path: Path) -> None:
    """For raw volumes libvirt's data suffices; an image may depend on anything."""
    call("virsh", "pool-create-as", "home", "dir", "--target", str(home))
    try:
        (home / "raw.iso").write_bytes(b"raw")
        create("free")
        with serving_as_service(tmp_path) as server:
            assert server.client.ask("DELETE", "/hosts/free").status == 204
            overlay("qcow2", "BASE")(home / "image", BASE)
            reply = server.client.ask("DELETE", "/hosts/base")
        assert (reply.status, BASE.exists()) == (409, True), reply
        assert f"cannot check {home / 'image'}" in reply.json["detail"]
    finally:
        call("virsh", "pool-destroy", "home")


@pytest.mark.usefixtures("_user")
def test_r40_service_and_an_image_that_a_running_qemu_owns(folder: Path, tmp_path: Path) -> None:
    """The service cannot read it, but libvirt lists all files of a running host."""
    image = folder / "image"
    call("qemu-img", "create", "-q", "-fqcow2", str(image), "1M")
    image.chmod(0o600)
    host_of(image, "qcow2")
    call("virsh", "start", "user")
    try:
        assert image.stat().st_uid != 0
        create("free")
        with serving_as_service(tmp_path) as server:
            assert server.client.ask("DELETE", "/hosts/free").status == 204
    finally:
        call("virsh", "destroy", "user")


@pytest.mark.usefixtures("_user")
def test_r40_service_ignores_an_unreadable_device(tmp_path: Path) -> None:
    """Such as /dev/sr0: it is not a file, so it is not the disk."""
    disk = DISK.format(path="/dev/shctl-sr0", kind="raw")
    disk = disk.replace("type='file'", "type='block'").replace("file=", "dev=")
    define(HOST.format(name="user", devices=disk))
    create("free")
    with serving_as_service(tmp_path) as server:
        assert server.client.ask("DELETE", "/hosts/free").status == 204


def test_r40_service_keeps_an_unreadable_disk_of_its_own(home: Path, tmp_path: Path) -> None:
    (home / "own.img").write_bytes(b"\0" * 4096)
    host_of(home / "own.img", "raw")
    ok("hosts", "adopt", "user", "--own-disk", str(home / "own.img"))
    with serving_as_service(tmp_path) as server:
        deleted = server.client.ask("DELETE", "/hosts/user")
    assert deleted.status == 409, deleted
    assert "in a root shell" in deleted.json["detail"]
    assert (home / "own.img").exists()
    ok("hosts", "delete", "--yes", "user")
    assert not (home / "own.img").exists()


NVDIMM = """<domain type='qemu'><name>user</name><maxMemory slots='4'>1048576</maxMemory>
<memory>65536</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>
<cpu><numa><cell id='0' cpus='0' memory='65536'/></numa></cpu>
<devices><memory model='nvdimm'><source><path>{path}</path></source><target>
<size unit='MiB'>512</size><node>0</node></target></memory></devices></domain>"""
ARGUMENT = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<name>user</name><memory>65536</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>
<qemu:commandline><qemu:arg value='-drive'/><qemu:arg value='file={path},format=raw,if=virtio'/>
</qemu:commandline></domain>"""
FIRMWARE = """<domain type='qemu'><name>user</name><memory>65536</memory>
<sysinfo type='fwcfg'><entry name='opt/x' file='{path}'/></sysinfo>
<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""
SERIAL = "<serial type='file'><source path='{path}'/></serial>"
USES = {
    "memory": NVDIMM,
    "argument": ARGUMENT,
    "firmware": FIRMWARE,
    "serial": HOST.replace("{name}", "user").replace("{devices}", SERIAL),
}


@pytest.mark.usefixtures("_user")
@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("use", USES)
def test_r40_disk_used_by_a_host_as_another_device(use: str, link: bool, tmp_path: Path) -> None:
    path = BASE
    if link:
        path = tmp_path / "link"
        path.symlink_to(BASE)
    define(USES[use].format(path=path))
    refused("also used by user")


@pytest.mark.usefixtures("_user")
def test_r40_volume_of_an_inactive_or_deleted_pool(tmp_path: Path) -> None:
    """Two pools may have one directory under two paths."""
    (tmp_path / "alias").symlink_to(VOLUMES)
    call("virsh", "pool-define-as", "alias", "dir", "--target", str(tmp_path / "alias"))
    call("virsh", "pool-start", "alias")
    disk = DISK.format(kind="raw", path="").replace("type='file'", "type='volume'", 1)
    disk = disk.replace("file=''", "pool='alias' volume='base-sda'")
    define(HOST.format(name="user", devices=disk))
    for step in (["pool-destroy", "alias"], ["pool-undefine", "alias"]):
        refused("also used by user")
        call("virsh", *step)
    refused("also used by user")


def test_r40_disk_of_a_saved_host() -> None:
    """Its stored definition may have changed since."""
    create("saved", "--start")
    call("virsh", "attach-disk", "saved", str(BASE), "sdb", "--targetbus", "scsi", "--live")
    try:
        call("virsh", "managedsave", "saved")
        refused("also used by saved")
    finally:
        ok("hosts", "delete", "--yes", "saved")


@pytest.mark.usefixtures("_user")
def test_r40_path_that_is_another_file_for_each_process() -> None:
    define(HOST.format(name="user", devices=DISK.format(kind="raw", path="/proc/self/fd/9")))
    refused("cannot check /proc/self/fd/9", "each process has its own")


def test_r40_loop_device_over_a_disk() -> None:
    device = call("losetup", "--find", "--show", str(BASE)).strip()
    try:
        refused(f"{device} (a device that depends on it)")
    finally:
        call("losetup", "--detach", device)


def test_r40_disk_used_by_a_process_outside_libvirt() -> None:
    process = subprocess.Popen(["qemu-io", "-f", "raw", str(BASE)], stdin=subprocess.PIPE)
    try:
        number = f":{BASE.stat().st_ino}"
        eventually(lambda: f"{number} " in Path("/proc/locks").read_text())
        refused("a process that libvirt does not know")
    finally:
        process.communicate()


def test_r40_image_used_only_by_a_snapshot(folder: Path) -> None:
    create("snap")
    top = folder / "top"
    spec = f"sda,file={top}"
    call("virsh", "snapshot-create-as", "snap", "s1", "--disk-only", "--diskspec", spec)
    xml = call("virsh", "dumpxml", "snap").replace(str(top), str(VOLUMES / "snap-sda"))
    define(xml.replace("type='qcow2'", "type='raw'"))
    done = run("hosts", "delete", "--yes", "snap")
    assert (done.code, f"{top}, of a snapshot of it, depends on" in done.err) == (4, True), done
    top.unlink()
    ok("hosts", "delete", "--yes", "snap")


def test_r40_service_and_a_pool_in_a_temporary_directory(tmp_path: Path) -> None:
    """The unit has its own, empty /tmp."""
    target = Path(tempfile.mkdtemp(dir="/var/tmp"))
    call("virsh", "pool-create-as", "temporary", "dir", "--target", str(target))
    call("qemu-img", "create", "-q", "-fqcow2", "-Fraw", f"-b{BASE}", str(target / "image"))
    try:
        with serving_as_unit(tmp_path) as running:
            answer = running.client.ask("DELETE", "/hosts/base")
        assert answer.status == 409, answer
        assert BASE.exists()
    finally:
        call("virsh", "pool-destroy", "temporary")
        shutil.rmtree(target)
