"""dynamic_ownership = 0: libvirt does not change the owner of files, so shctl does."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests import End
from tests.installations import (
    BOOT,
    SAY,
    Trees,
    arguments,
    delete,
    log_of,
    one_line,
    virsh,
)
from tests.support import VOLUMES, create, daemon, eventually, ok, prepare, run, state
from tests.systemd_unit import serving_as_service

pytestmark = pytest.mark.hypervisor

CONF = Path("/etc/libvirt/qemu.conf")
POOL = Path("/var/lib/shctl/other")


def restart_with(conf: str) -> None:
    CONF.write_text(conf)
    daemon("stop", "libvirtd")
    daemon("start", "libvirtd")


@pytest.fixture(scope="module", autouse=True)
def _static() -> Iterator[None]:
    prepare()
    create("old", "--start")
    ok("hosts", "stop", "old", "--force")
    before = CONF.read_text()
    # As usual in files: a comment with the default, then the setting.
    restart_with(f"{before}#dynamic_ownership = 1\n dynamic_ownership=0 # NFS\n")
    yield
    delete("old")
    restart_with(before)


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_r31_host_of_the_default_pool_starts(firmware: str) -> None:
    create("owned", "--start", "--firmware", firmware)
    assert state("owned") == "running"
    assert (VOLUMES / "owned-sda").stat().st_mode & 0o777 == 0o600
    delete("owned")


def test_r31_host_of_another_pool_starts() -> None:
    POOL.mkdir()
    virsh("pool-create-as", "other", "dir", "--target", str(POOL))
    create("owned", "--start", "--pool", "other")
    assert state("owned") == "running"
    delete("owned")
    virsh("pool-destroy", "other")
    POOL.rmdir()


def test_r31_installer_reads_its_answers(trees: Trees) -> None:
    ok(*arguments("owned", trees.of(End.HALT), "--inject-text", "ks.cfg=x"))
    eventually(lambda: SAY in log_of("owned"))
    assert (BOOT / "owned" / "initrd").stat().st_mode & 0o777 == 0o600
    delete("owned")


def test_r31_r50_installer_of_the_service_reads_its_answers(trees: Trees, tmp_path: Path) -> None:
    """The service may not change the owner of files."""
    body = {"memory": 64, "disks": [1], "networks": ["vlan10"], "install": True}
    body |= {"location": trees.of(End.HALT), "inject": {"ks.cfg": "x"}}
    with serving_as_service(tmp_path) as server:
        reply = server.client.ask("POST", "/hosts/owned", body)
        assert reply.status == 201, reply.body
    eventually(lambda: SAY in log_of("owned"))
    access = os.getxattr(BOOT / "owned" / "initrd", "system.posix_acl_access")
    # The third and the last entry: the group and others have no access.
    assert (access[4 + 2 * 8 + 2], access[4 + 4 * 8 + 2]) == (0, 0)
    delete("owned")


def test_r31_error_names_a_file_that_qemu_cannot_open() -> None:
    """A disk created before the setting belongs to root."""
    assert (VOLUMES / "old-sda").stat().st_uid == 0
    done = run("hosts", "start", "old")
    assert (done.code, one_line(done)) == (4, True), done
    assert "check the file's owner, dynamic_ownership in qemu.conf, and AppArmor's log" in done.err
    assert state("old") == "shut off"
