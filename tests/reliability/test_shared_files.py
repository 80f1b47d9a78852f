"""Scoreboard R54: cached files never belong to QEMU's user, even on one file system."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests import End
from tests.installations import BOOT, KERNEL_PATH, SAY, Trees, arguments, delete, log_of
from tests.support import eventually, ok
from tests.systemd_unit import serving_as_service

pytestmark = pytest.mark.usefixtures("vlan10")

CACHE, ELSEWHERE = Path("/var/cache/shctl"), Path("/var/lib/shctl/cache")


@pytest.fixture(autouse=True)
def _one_file_system() -> Iterator[None]:
    """Put the cache on the file system of the boot files, as on most machines."""
    away = CACHE.with_name("away")
    CACHE.rename(away)
    ELSEWHERE.mkdir()
    CACHE.symlink_to(ELSEWHERE)
    yield
    CACHE.unlink()
    shutil.rmtree(ELSEWHERE)
    away.rename(CACHE)


def cached() -> list[os.stat_result]:
    return [path.stat() for path in CACHE.glob("trees/*.data")]


def install_as_service(name: str, location: str, directory: Path) -> None:
    body = {"memory": 64, "disks": [1], "networks": ["vlan10"], "install": True}
    with serving_as_service(directory) as server:
        reply = server.client.ask("POST", f"/hosts/{name}", {**body, "location": location})
        assert reply.status == 201, reply.body


def test_r54_service_installs_from_a_commands_download(trees: Trees, tmp_path: Path) -> None:
    location = trees.of(End.HALT)
    ok(*arguments("one", location))
    eventually(lambda: SAY in log_of("one"))
    assert [(facts.st_uid, facts.st_nlink) for facts in cached()] == [(0, 1)] * 2
    install_as_service("two", location, tmp_path)
    # The first bytes are read again to detect the format; the whole file was sent once.
    whole = len(trees.server.files[f"/halt/{KERNEL_PATH}"])
    assert trees.server.sent[f"/halt/{KERNEL_PATH}"] < 2 * whole
    delete("one", "two")


def test_r54_service_replaces_files_shared_by_an_old_version(trees: Trees, tmp_path: Path) -> None:
    """It hard-linked cached files into the boot directory, where libvirt changed their owner."""
    location = trees.of(End.HALT)
    ok(*arguments("one", location))
    eventually(lambda: SAY in log_of("one"))
    for data in CACHE.glob("trees/*.data"):
        name = (
            "kernel"
            if data.read_bytes() == trees.server.files[f"/halt/{KERNEL_PATH}"]
            else "initrd"
        )
        place = BOOT / "one" / name
        data.unlink()
        os.link(place, data)
    assert all(facts.st_uid for facts in cached())
    owned = (BOOT / "one" / "kernel").stat()
    install_as_service("two", location, tmp_path)
    assert [(facts.st_uid, facts.st_nlink) for facts in cached()] == [(0, 1)] * 2
    now = (BOOT / "one" / "kernel").stat()
    assert (now.st_ino, now.st_uid, now.st_nlink) == (owned.st_ino, owned.st_uid, 1)
    delete("one", "two")
