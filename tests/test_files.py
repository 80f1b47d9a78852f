"""Files and what they stand on: qcow2 headers as qemu-img and as strangers write them."""

import os
import struct
from pathlib import Path

import pytest

from shctl.files import Backing, backing_files, read_backing
from tests.support import call


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Spare each test a look at the hypervisor, which none of these touches."""


def make(image: Path, below: str, kind: str, *options: str) -> Path:
    """Make a qcow2 image on top of a file, whose name it has as it is given."""
    call("qemu-img", "create", "-q", "-fqcow2", f"-F{kind}", f"-b{below}", *options, str(image))
    return image


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base"
    path.write_bytes(b"\0" * 4096)
    return path


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_header_as_qemu_writes_it(compat: str, base: Path, tmp_path: Path) -> None:
    image = make(tmp_path / "image", "base", "raw", f"-ocompat={compat}")
    assert read_backing(image.read_bytes()) == Backing("base", is_raw=True)
    upper = make(tmp_path / "upper", str(image), "qcow2", f"-ocompat={compat}")
    assert read_backing(upper.read_bytes()) == Backing(str(image), is_raw=False)


def test_image_that_stands_on_nothing(tmp_path: Path) -> None:
    call("qemu-img", "create", "-q", "-fqcow2", str(tmp_path / "image"), "1M")
    assert read_backing((tmp_path / "image").read_bytes()) is None


def header(offset: int, size: int, length: int = 104) -> bytes:
    return struct.pack(">4sIQI80xI", b"QFI\xfb", 3, offset, size, length)


@pytest.mark.parametrize(
    "head",
    [b"", b"QFI\xfb", b"\0" * 512, header(2**63, 8), header(104, 0), b"x" + header(0, 9)],
    ids=["empty", "cut off", "blank", "name far away", "no name", "other magic"],
)
def test_header_that_names_nothing(head: bytes) -> None:
    assert read_backing(head) is None


def test_header_of_which_all_is_wrong() -> None:
    """Lengths beyond the end and names that no path can be are names of no file."""
    found = read_backing(header(104, 2**32 - 1, length=2**32 - 1) + b"a\0b\xff")
    assert found == Backing("a\0b\udcff", is_raw=False)
    assert read_backing(header(112, 1) + struct.pack(">II", 1, 2**32 - 1) + b"a") is not None


def test_chain_is_followed_from_each_images_own_directory(base: Path, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    middle = make(tmp_path / "d" / "middle", "../base", "raw")
    top = make(tmp_path / "top", "d/middle", "qcow2")
    assert [*backing_files(str(top))] == [str(middle), str(tmp_path / "d/../base")]


def test_chain_ends_at_a_raw_file_whatever_its_guest_writes(base: Path, tmp_path: Path) -> None:
    top = make(tmp_path / "top", str(base), "raw")
    base.write_bytes(make(tmp_path / "other", str(top), "qcow2").read_bytes())
    assert [*backing_files(str(top))] == [str(base)]


def test_chain_that_goes_round_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "round"
    path.write_bytes(header(104, 5) + b"round")
    assert {*backing_files(str(path))} == {str(path)}


@pytest.mark.parametrize("name", ["absent", "fifo", "directory", "a\0b", "x" * 300])
def test_what_cannot_be_read_stands_on_nothing(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    assert [*backing_files(f"{tmp_path}/{name}")] == []
