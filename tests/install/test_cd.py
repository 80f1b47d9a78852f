"""CDs with answers, read back by another program and by Linux' own rules for names."""

import subprocess
from pathlib import Path

import pytest

from shctl.install import cd

FILES = {
    "user-data": b"#cloud-config\n" + bytes(range(256)) * 20,
    "meta-data": b"",
    "network-config": b"version: 2\n",
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "answers.iso"
    cd.write(path, "CIDATA", FILES)
    return path


def test_only_its_owner_may_read_it(image: Path) -> None:
    assert image.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in image.parent.iterdir()] == ["answers.iso"]


def test_label_is_where_blkid_looks(image: Path) -> None:
    """The volume identifier of the primary descriptor, ECMA-119, 8.4.8."""
    descriptor = image.read_bytes()[16 * 2048 :]
    assert descriptor[:6] == b"\x01CD001"
    assert descriptor[40:72].decode() == "CIDATA".ljust(32)


@pytest.mark.hypervisor
def test_xorriso_reads_it(image: Path, tmp_path: Path) -> None:
    argv = [
        "xorriso",
        "-osirrox",
        "on",
        "-indev",
        str(image),
        "-extract",
        "/",
        str(tmp_path / "out"),
    ]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == FILES
