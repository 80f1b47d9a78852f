"""Scoreboard R05 and R06: deletion in every state keeps foreign disks and files.

A test that leaves something behind fails: tests/conftest.py compares before and after.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from shctl.common import paths
from shctl.common.errors import Conflict, NotFound
from shctl.hosts import deletion, deletion_state
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definitions
from tests.rest_server import Client, serving
from tests.scoreboard import rounds
from tests.support import (
    HANG,
    URI,
    VOLUMES,
    call,
    create,
    define,
    eventually,
    immutable,
    ok,
    qemu_pid,
    run,
    state,
)

pytestmark = pytest.mark.usefixtures("vlan10")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running.client


# --- R05: delete in any state ------------------------------------------------------------------


def leave(name: str) -> None:
    """Leave it shut off."""


def start(name: str) -> None:
    ok("hosts", "start", name)


def pause(name: str) -> None:
    start(name)
    call("virsh", "suspend", name)


def crash(name: str) -> None:
    start(name)
    os.kill(qemu_pid(name), 9)
    eventually(lambda: state(name) == "crashed")


def managed_save(name: str) -> None:
    start(name)
    call("virsh", "managedsave", name)
    assert call("virsh", "domstate", name).strip() == "shut off"


def autostart(name: str) -> None:
    call("virsh", "autostart", name)


WAYS = [("bios", "command line"), ("uefi", "server"), ("bios", "server"), ("uefi", "command line")]


@pytest.mark.parametrize("reach", [leave, start, pause, crash, managed_save, autostart])
@pytest.mark.parametrize(("firmware", "frontend"), WAYS[: rounds(4, 2)])
def test_r05_delete_in_every_state_and_twice(
    reach: Callable[[str], None], firmware: str, frontend: str, client: Client
) -> None:
    """UEFI adds a file of variables (nvram)."""
    create("x", "--firmware", firmware)
    reach("x")
    if frontend == "server":
        statuses = [client.ask("DELETE", "/hosts/x").status for _ in range(2)]
        assert statuses == [204, 404]
        return
    assert json.loads(ok("-o", "json", "hosts", "delete", "--yes", "x"))[0]["result"] == "deleted"
    assert run("hosts", "delete", "--yes", "x").code == 3


def test_r05_delete_with_snapshots(tmp_path: Path) -> None:
    """Raw volumes cannot hold snapshots: an overlay takes later writes, and depends on them."""
    overlay = tmp_path / "overlay"
    create("x")
    spec = f"sda,snapshot=external,file={overlay}"
    call("virsh", "snapshot-create-as", "x", "s1", "--disk-only", "--diskspec", spec)
    stored = call("virsh", "dumpxml", "x")
    done = run("hosts", "delete", "--yes", "x")
    assert (done.code, "as after an external snapshot" in done.err) == (4, True), done
    assert "virsh blockcommit x sda" in done.err
    assert call("virsh", "dumpxml", "x") == stored
    call("qemu-img", "info", "--backing-chain", str(overlay))
    # As blockcommit does for a running host.
    call("qemu-img", "commit", "-q", str(overlay))
    overlay.unlink()
    call("virsh", "detach-disk", "x", "sda", "--config")
    disk = str(VOLUMES / "x-sda")
    call("virsh", "attach-disk", "x", disk, "sda", "--config", "--targetbus", "scsi")
    ok("hosts", "delete", "--yes", "x")
    create("x")
    assert "s1" not in call("virsh", "snapshot-list", "x")
    ok("hosts", "delete", "--yes", "x")


def test_r05_delete_when_the_disk_is_missing() -> None:
    create("x")
    (VOLUMES / "x-sda").unlink()
    ok("hosts", "delete", "--yes", "x")


def test_r05_delete_when_the_disk_cannot_be_removed() -> None:
    """The host is kept, so that the deletion can be repeated."""
    create("x")
    with immutable(VOLUMES / "x-sda"):
        done = run("hosts", "delete", "--yes", "x")
        assert done.code == 1
        assert f"{VOLUMES}/x-sda (" in done.err
        assert state("x") == "shut off"
    ok("hosts", "delete", "--yes", "x")


# --- R06: foreign disks and files --------------------------------------------------------------


def content(path: Path) -> bytes:
    return path.read_bytes()[:4096]


def test_r06_other_host_with_a_longer_name() -> None:
    for name in ("a", "a.b", "a-sda"):
        create(name)
        (VOLUMES / f"{name}-sda").write_bytes(name.encode())
    ok("hosts", "delete", "--yes", "a")
    assert content(VOLUMES / "a.b-sda") == b"a.b"
    assert content(VOLUMES / "a-sda-sda") == b"a-sda"
    ok("hosts", "delete", "--yes", "a.b", "a-sda")


DISK = "<disk type='file' device='disk'><source file='{}'/><target dev='sdx' bus='scsi'/></disk>"
VOLUME = (
    "<disk type='volume' device='disk'><source pool='shctl' volume='{}'/>"
    "<target dev='sdx' bus='scsi'/></disk>"
)
OTHER = """<domain type='qemu'><name>other</name><memory>65536</memory>
<os><type arch='x86_64'>hvm</type></os><devices>{}</devices></domain>"""


@pytest.fixture
def _other() -> Iterator[None]:
    yield
    call("virsh", "undefine", "other")


@pytest.mark.usefixtures("_other")
@pytest.mark.parametrize(
    "disk", [DISK.format(VOLUMES / "x-sda"), VOLUME.format("x-sda")], ids=["path", "volume"]
)
def test_r06_disk_used_by_another_host(disk: str) -> None:
    create("x")
    define(OTHER.format(disk))
    (VOLUMES / "x-sda").write_bytes(b"shared")
    done = run("hosts", "delete", "--yes", "x")
    assert done.code == 4
    assert "also used by other" in done.err
    assert content(VOLUMES / "x-sda") == b"shared"
    define_without_disk = OTHER.format("").replace("<name>", f"<uuid>{uuid('other')}</uuid><name>")
    define(define_without_disk)
    ok("hosts", "delete", "--yes", "x")


@pytest.mark.usefixtures("_other")
def test_r06_disk_that_another_host_gets_while_several_are_deleted() -> None:
    for name in ("x", "y"):
        create(name)
    define(OTHER.format(""))
    several = deletion.BulkDeletion(Hypervisor(URI))
    several.delete("x")
    define(
        OTHER.format(DISK.format(VOLUMES / "y-sda")).replace(
            "<name>", f"<uuid>{uuid('other')}</uuid><name>"
        )
    )
    with pytest.raises(Conflict, match="also used by other"):
        several.delete("y")
    define(OTHER.format("").replace("<name>", f"<uuid>{uuid('other')}</uuid><name>"))
    ok("hosts", "delete", "--yes", "y")


@pytest.fixture(params=["detour", "symbolic link", "hard link"])
def alias(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Create host x; return another path of its disk."""
    create("x")
    disk, other = VOLUMES / "x-sda", VOLUMES.parent / "alias"
    match request.param:
        case "detour":
            other = VOLUMES.parent / "volumes/../volumes/x-sda"
        case "symbolic link":
            other.symlink_to(disk)
        case "hard link":
            other.hardlink_to(disk)
    yield other
    (VOLUMES.parent / "alias").unlink(missing_ok=True)


@pytest.mark.usefixtures("_other")
def test_r06_disk_used_by_another_host_by_another_path(alias: Path) -> None:
    define(OTHER.format(DISK.format(alias)))
    (VOLUMES / "x-sda").write_bytes(b"shared")
    done = run("hosts", "delete", "--yes", "x")
    assert (done.code, "also used by other" in done.err) == (4, True), done
    assert content(alias) == b"shared"
    define(OTHER.format("").replace("<name>", f"<uuid>{uuid('other')}</uuid><name>"))
    ok("hosts", "delete", "--yes", "x")


@pytest.mark.usefixtures("_other")
@pytest.mark.parametrize("folder", ["volumes/../volumes", "link"])
def test_r06_own_disk_by_another_path_used_by_another_host(folder: str) -> None:
    """The host's XML and its metadata name one file by two paths."""
    create("x")
    disk, link = VOLUMES / "x-sda", VOLUMES.parent / "link"
    link.symlink_to(VOLUMES)
    xml = call("virsh", "dumpxml", "--inactive", "x")
    define(xml.replace(str(disk), f"{VOLUMES.parent}/{folder}/x-sda"))
    define(OTHER.format(DISK.format(disk)))
    disk.write_bytes(b"shared")
    done = run("hosts", "delete", "--yes", "x")
    assert (done.code, "also used by other" in done.err) == (4, True), done
    assert content(disk) == b"shared"
    define(OTHER.format("").replace("<name>", f"<uuid>{uuid('other')}</uuid><name>"))
    ok("hosts", "delete", "--yes", "x")
    assert not disk.exists()
    link.unlink()
    call("virsh", "pool-refresh", "shctl")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the directory of pool `images`; `image` depends on host x's disk in two steps."""
    create("x")
    lower, image = str(tmp_path / "lower"), str(tmp_path / "image")
    make = "qemu-img create -q -f qcow2 -F".split()
    call(*make, "raw", "-b", str(VOLUMES / "x-sda"), lower)
    call(*make, "qcow2", "-b", "lower", image)
    call("virsh", "pool-create-as", "images", "dir", "--target", str(tmp_path))
    yield tmp_path
    call("virsh", "pool-destroy", "images")


def image_disk(source: str, kind: str = "qcow2") -> str:
    driver = f"<driver name='qemu' type='{kind}'/>"
    return VOLUME.replace("pool='shctl' volume='{}'", source).replace("<source", f"{driver}<source")


@pytest.mark.usefixtures("_other")
@pytest.mark.parametrize(
    "disk",
    [
        image_disk("file='{}/image'").replace("'volume'", "'file'", 1),
        image_disk("pool='images' volume='image'"),
    ],
    ids=["path", "volume"],
)
def test_r06_disk_that_another_hosts_image_depends_on(disk: str, folder: Path) -> None:
    """libvirt reports backing files only for running hosts; this one is off."""
    define(OTHER.format(disk.format(folder)))
    done = run("hosts", "delete", "--yes", "x")
    assert (done.code, "also used by other" in done.err) == (4, True), done
    assert (VOLUMES / "x-sda").exists()
    define(OTHER.format("").replace("<name>", f"<uuid>{uuid('other')}</uuid><name>"))
    for image in ("lower", "image"):
        (folder / image).unlink()
    ok("hosts", "delete", "--yes", "x")


@pytest.mark.usefixtures("_other")
def test_r06_raw_disk_on_which_the_guest_wrote_an_image_header(folder: Path) -> None:
    """A guest cannot block the deletion of other hosts' disks that way."""
    (folder / "image").unlink()
    define(OTHER.format(image_disk("pool='images' volume='lower'", kind="raw")))
    ok("hosts", "delete", "--yes", "x")


def test_r06_disk_used_by_a_hung_host() -> None:
    """Files that QEMU has open are found without its XML: libvirt 11 would wait for that."""
    create("x")
    create("hangs", "--start")
    call("virsh", "attach-disk", "hangs", str(VOLUMES / "x-sda"), "sdb", "--targetbus", "scsi")
    os.kill(qemu_pid("hangs"), signal.SIGSTOP)
    waiting = subprocess.Popen(["virsh", "reboot", "hangs"])
    try:
        eventually(lambda: Hypervisor(URI).domain("hangs").hung)
        done = run("hosts", "delete", "--yes", "x")
    finally:
        os.kill(qemu_pid("hangs"), signal.SIGCONT)
        waiting.wait(HANG)
    assert (done.code, "also used by hangs" in done.err) == (4, True), done
    ok("hosts", "delete", "--yes", "hangs")
    assert (VOLUMES / "x-sda").exists()
    ok("hosts", "delete", "--yes", "x")


def uuid(name: str) -> str:
    return call("virsh", "domuuid", name).strip()


def test_r06_disk_attached_by_hand_is_kept(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.img"
    foreign.write_bytes(b"foreign")
    create("x")
    call("virsh", "attach-disk", "x", str(foreign), "sdb", "--config", "--targetbus", "scsi")
    gone = json.loads(ok("-o", "json", "hosts", "delete", "--yes", "x"))
    assert gone[0]["kept"] == [str(foreign)]
    assert foreign.read_bytes() == b"foreign"


def test_r06_volume_of_another_host_named_in_the_metadata_is_kept() -> None:
    """The disk was exchanged by hand: the metadata names another volume than the XML."""
    create("x")
    create("y")
    call("virsh", "attach-disk", "x", str(VOLUMES / "y-sda"), "sdb", "--config", "--targetbus=scsi")
    assert run("hosts", "delete", "--yes", "y").code == 4
    gone = json.loads(ok("-o", "json", "hosts", "delete", "--yes", "x"))
    assert gone[0]["kept"] == [str(VOLUMES / "y-sda")]
    ok("hosts", "delete", "--yes", "y")


def test_r06_host_deleted_meanwhile_keeps_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deletion does not fail either."""
    gone: Any = SimpleNamespace(
        uuid="1", hung=False, xml=lambda **_: _raise(NotFound("no host 'gone'"))
    )
    host: Any = SimpleNamespace(uuid="2", name="new")
    hypervisor: Any = SimpleNamespace(
        domains=lambda: [gone], find_domain=lambda _: None, active_uuids=set, saved_uuids=set,
        snapshot_uuids=set,
    )  # fmt: skip
    monkeypatch.setattr(deletion_state, "has_log", lambda _: True)
    console = str(paths.console_logs() / "old.log")
    logs = deletion_state._logs(hypervisor, host, console, Definitions(hypervisor))
    assert [*logs] == [paths.console_logs() / "new.log", paths.console_logs() / "old.log"]


@pytest.mark.usefixtures("_other")
def test_r06_log_written_by_a_copy_is_kept() -> None:
    """virt-clone copies the path of the console log."""
    create("x", "--start")
    log = paths.console_logs() / "x.log"
    eventually(log.exists)
    serial = f"<serial type='pty'><log file='{log}'/></serial>"
    define(OTHER.format(serial))
    ok("hosts", "delete", "--yes", "x")
    assert log.exists()
    done = run(*"hosts create x --memory 64 --disk 1 --network vlan10".split())
    assert (done.code, "host 'other' may write; choose another name" in done.err) == (4, True), done
    assert log.exists()
    define(OTHER.format("").replace("<name>", f"<uuid>{uuid('other')}</uuid><name>"))
    create("x")
    ok("hosts", "delete", "--yes", "x")
    assert not log.exists()


@pytest.mark.usefixtures("_other")
def test_r06_log_that_another_host_gets_during_the_deletion_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create("x", "--start")
    log = paths.console_logs() / "x.log"
    eventually(log.exists)
    remove_disks = deletion._remove_disks

    def define_copy(*arguments: Any) -> None:
        remove_disks(*arguments)
        define(OTHER.format(f"<serial type='pty'><log file='{log}'/></serial>"))

    monkeypatch.setattr(deletion, "_remove_disks", define_copy)
    deletion.delete(Hypervisor(URI), "x")
    assert log.exists()
    log.unlink()


def _raise(error: Exception) -> NoReturn:
    raise error
