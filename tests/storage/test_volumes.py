"""Pools that shctl did not define."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import call, prepare, run


@pytest.mark.hypervisor
def test_inactive_pool_is_not_started(tmp_path: Path) -> None:
    """Starting may require a build, which formats the devices of some pool types."""
    prepare()
    target = tmp_path / "images"
    call("virsh", "pool-define-as", "other", "dir", "--target", str(target))
    try:
        host = "hosts create a --memory 64 --disk 1 --network vlan10 --pool other".split()
        done = run(*host)
        info = call("virsh", "pool-info", "other")
    finally:
        call("virsh", "pool-undefine", "other")
    assert done.code == 2
    assert done.err == (
        "shctl: --pool: pool 'other' is inactive; start it with 'virsh pool-start other'\n"
    )
    assert "inactive" in info
    assert not target.exists()


@pytest.fixture
def foreign_default(tmp_path: Path) -> Iterator[Path]:
    """Define a foreign inactive pool `shctl` on a device; return its target."""
    prepare()
    xml = call("virsh", "pool-dumpxml", "shctl", "--inactive")
    device, target, old = tmp_path / "device", tmp_path / "target", tmp_path / "old.xml"
    old.write_text(xml)
    for argv in (
        ("pool-destroy", "shctl"),
        ("pool-undefine", "shctl"),
        ("pool-define-as", "shctl", "fs", "--source-dev", str(device), "--target", str(target)),
    ):
        call("virsh", *argv)
    yield target
    for argv in ("pool-undefine", "shctl"), ("pool-define", str(old)), ("pool-start", "shctl"):
        call("virsh", *argv)
    call("virsh", "pool-autostart", "shctl")


@pytest.mark.hypervisor
def test_inactive_default_pool_of_another_type_is_not_built(foreign_default: Path) -> None:
    """A build would erase volume groups and whole disks."""
    done = run(*"hosts create a --memory 64 --disk 1 --network vlan10".split())
    info = call("virsh", "pool-info", "shctl")
    assert (done.code, "pool 'shctl' is inactive" in done.err) == (2, True), done
    assert re.search("Autostart: +no", info)
    assert not foreign_default.exists()
