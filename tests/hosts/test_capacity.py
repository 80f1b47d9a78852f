"""Limits of the machine: memory, file sizes, directories that cannot be written to."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shctl.common import locks, paths
from tests.rest_server import serving
from tests.support import call, create, immutable, ok, qemu_pid, run, stopped

pytestmark = pytest.mark.usefixtures("vlan10")

HOST = ["hosts", "create", "big", "--disk", "1", "--network", "vlan10"]
LOCKS = Path("/run/shctl/locks")


def total() -> int:
    """Return the machine's memory in MiB."""
    return int(re.findall(r"^MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())[0]) // 1024


def refused(code: int, *words: str) -> str:
    """Run a command that must fail with this code and a one-line error; return the line."""
    done = run(*words)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1), done
    assert "unexpected" not in done.err
    return done.err


# --- Memory -------------------------------------------------------------------------------------


def test_more_memory_than_the_machine_has() -> None:
    too_much = ["--memory", str(total() + 1)]
    message = refused(8, *HOST, *too_much)
    assert all(word in message for word in ("--memory", str(total()), "--overcommit"))
    ok(*HOST, *too_much, "--overcommit")
    ok(*HOST, *too_much, "--if-not-exists")
    ok("hosts", "delete", "--yes", "big")


def test_memory_used_by_running_hosts() -> None:
    most = ["--memory", str(total() - 32)]
    create("runs", "--start")
    ok(*HOST, *most)
    ok("hosts", "delete", "--yes", "big")
    assert "running hosts use 64 MiB" in refused(8, *HOST, *most, "--start")
    ok("hosts", "delete", "--yes", "runs")


def test_a_hung_qemu_does_not_delay_a_creation() -> None:
    """Its memory is known without asking it; nothing else is waiting for it."""
    create("hangs", "--start")
    with stopped(qemu_pid("hangs")):
        create("works", "--start")
    ok("hosts", "delete", "--yes", "hangs", "works")


def test_memory_over_rest(tmp_path: Path) -> None:
    body = {"memory": 2**24, "disks": [1], "networks": ["vlan10"]}
    with serving(tmp_path) as running:
        answer = running.client.ask("POST", "/hosts/big", body)
        assert (answer.status, answer.json["field"]) == (507, "memory")
        assert "; use overcommit to create" in answer.json["detail"]
        assert running.client.ask("POST", "/hosts/big", {**body, "overcommit": True}).status == 201
        assert running.client.ask("DELETE", "/hosts/big").status == 204


# --- Disks --------------------------------------------------------------------------------------


@contextmanager
def pool(name: str, path: Path) -> Iterator[None]:
    call("virsh", "-q", "pool-define-as", name, "dir", "--target", str(path))
    call("virsh", "-q", "pool-start", name)
    try:
        yield
    finally:
        call("virsh", "-q", "pool-destroy", name)
        call("virsh", "-q", "pool-undefine", name)


def test_disk_too_large_for_the_file_system(tmp_path: Path) -> None:
    """Files of this file system are limited to 16 GiB, sparse or not."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    call("truncate", "-s", "64M", str(image))
    call("mkfs.ext2", "-q", "-b", "1024", str(image))
    mounted.mkdir()
    call("mount", "-o", "loop", str(image), str(mounted))
    try:
        with pool("small", mounted):
            words = "hosts create big --memory 64 --network vlan10 --pool small --disk 1 --disk 20"
            assert "File too large" in refused(8, *words.split())
        assert list(mounted.glob("big*")) == []
    finally:
        call("umount", "-l", str(mounted))


@pytest.mark.parametrize("linked", [False, True])
def test_default_directory_used_by_another_pool(linked: bool, tmp_path: Path) -> None:
    call("virsh", "-q", "pool-destroy", "shctl")
    call("virsh", "-q", "pool-undefine", "shctl")
    path = Path("/var/lib/shctl/volumes")
    if linked:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    with pool("images", path):
        message = refused(4, *HOST, "--memory", "64")
        assert all(word in message for word in ("'images'", "--pool images"))
        ok(*HOST, "--memory", "64", "--pool", "images")
        ok("hosts", "delete", "--yes", "big")
    create("again")  # makes the default pool
    ok("hosts", "delete", "--yes", "again")


# --- Locks and logs -----------------------------------------------------------------------------


def test_locks_that_cannot_be_written() -> None:
    with immutable(LOCKS):
        for words in ([*HOST, "--memory", "64"], ["hosts", "delete", "--yes", "big"],
                      ["networks", "create", "n", "--bridge", "br0", "--vlan", "8"],
                      ["tokens", "create", "t", "--scope", "read"]):  # fmt: skip
            assert "Read-only file system" in refused(4, *words)
        problem = json.loads(refused(4, "-o", "json", "hosts", "delete", "--yes", "big"))
        assert problem["status"] == 409


def test_locks_without_space() -> None:
    call("mount", "-t", "tmpfs", "-o", "nr_inodes=1,mode=700", "none", str(LOCKS))
    try:
        assert "No space left" in refused(8, *HOST, "--memory", "64")
    finally:
        call("umount", "-l", str(LOCKS))


@pytest.mark.parametrize("kind", ["link", "file", "mode", "owner"])
def test_lock_directory_of_a_user_created_by_somebody_else(kind: str, tmp_path: Path) -> None:
    """An ordinary user's locks are in /tmp, where anyone may write."""
    path = tmp_path / "locks"
    path.mkdir(mode=0o700)
    uid = 65534
    if kind == "link":
        path.rmdir()
        path.symlink_to(tmp_path)
    elif kind == "file":
        path.rmdir()
        path.touch()
    elif kind == "mode":
        path.chmod(0o777)
    if kind != "owner":
        os.chown(path, uid, uid, follow_symlinks=False)
    with pytest.raises(locks.Unlockable, match="check its owner"):
        locks._check_own(path, uid)


def test_lock_directory_of_a_user_is_checked() -> None:
    """As that user, end to end: somebody else's symbolic link must not be followed."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        (Path(root) / "tmp").mkdir()
        (Path(root) / "tmp/shctl-65534").symlink_to("/run")
        pid = os.fork()
        if not pid:
            paths.relocate(root)
            os.setuid(65534)
            try:
                locks.directory()
            except locks.Unlockable:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_log_that_cannot_be_written() -> None:
    create("kept")
    log = Path("/var/log/shctl/console/kept.log")
    log.touch(mode=0o600)
    with immutable(log.parent):
        assert "console log" in refused(4, *HOST, "--memory", "64")
        refused(4, "hosts", "delete", "--yes", "kept")
    assert run("hosts", "show", "big").code == 3
    ok("hosts", "delete", "--yes", "kept")
