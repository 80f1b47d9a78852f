"""Answer files: archives that the real cpio unpacks, and their templates."""

import gzip
import os
import subprocess
from pathlib import Path

import pytest

from shctl.common.errors import InvalidInput
from shctl.install.initrd import append_files, render

FILES = {
    "preseed.cfg": b"d-i debian-installer/locale string en_US\n",
    "etc/init.d/installer": b"#!/bin/sh\necho hello\n",
    "empty": b"",
    "tmp/a b\xc3\xa9".encode("latin-1").decode(): b"x" * 70_000,
}


@pytest.fixture
def initrd(tmp_path: Path) -> Path:
    """Return an initrd of odd length in a compression that the code does not read."""
    path = tmp_path / "initrd"
    path.write_bytes(b"\xfd7zXZ junk")
    return path


def unpack(archive: bytes, place: Path) -> None:
    """Unpack with the real cpio."""
    place.mkdir()
    argv = ["busybox", "cpio", "-idm"]
    subprocess.run(argv, input=archive, cwd=place, check=True, capture_output=True)


def added(initrd: Path, files: dict[str, bytes], target: Path) -> bytes:
    """Return the archive that append_files adds, unpacked from its compression."""
    append_files(initrd, files, target)
    content = target.read_bytes()
    before = initrd.read_bytes()
    start = len(before) + 4 + -len(before) % 4
    assert content[: len(before)] == before
    assert content[len(before) : start].strip(b"\0") == b""
    return gzip.decompress(content[start:])


def test_real_cpio_unpacks_it(initrd: Path, tmp_path: Path) -> None:
    place = tmp_path / "unpacked"
    unpack(added(initrd, FILES, tmp_path / "new"), place)
    found = {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }
    assert found == FILES
    modes = {name: (place / name).stat().st_mode & 0o7777 for name in (*FILES, "etc", "tmp")}
    assert list(modes.values()) == [0o644, 0o755, 0o644, 0o644, 0o755, 0o1777]
    assert {(place / name).stat().st_mtime for name in FILES} == {0}


def test_same_input_gives_same_bytes(initrd: Path, tmp_path: Path) -> None:
    targets = [tmp_path / "a", tmp_path / "b"]
    append_files(initrd, FILES, targets[0])
    append_files(initrd, dict(reversed(FILES.items())), targets[1])
    assert targets[0].read_bytes() == targets[1].read_bytes()


def test_links_of_the_initrd_are_left_alone(initrd: Path, tmp_path: Path) -> None:
    """The kernel would replace the symbolic link `bin` with a directory."""
    archive = added(initrd, {"bin/x": b"", "usr/bin/y": b""}, tmp_path / "new")
    assert b"bin/x\0" in archive
    assert b"usr/bin\0" in archive
    assert b"\0bin\0" not in archive.replace(b"usr/bin", b"")


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_target_is_private(umask: int, initrd: Path, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        append_files(initrd, FILES, tmp_path / "new")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


BAD_NAMES = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "../x",
    "a/../b",
    "a//b",
    "a/",
    "./a",
    "a\0b",
    "a\nb",
    "TRAILER!!!",
    "a" * 4096,
    "\udcff",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_name(name: str, initrd: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        append_files(initrd, {"good": b"", name: b""}, tmp_path / "new")
    assert caught.value.field == "inject"
    assert caught.value.detail.startswith("inject: ")
    assert "\n" not in caught.value.detail
    assert sorted(path.name for path in tmp_path.iterdir()) == ["initrd"]


def test_file_that_is_also_a_directory(initrd: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="both a file and a directory"):
        append_files(initrd, {"a": b"", "a/b": b""}, tmp_path / "new")


VALUES = {"HOSTNAME": "web1", "LOCATION": "http://h/@SHCTL_HOSTNAME@", "ADDRESS": "10.0.0.1"}


def test_render() -> None:
    text = b"host @SHCTL_HOSTNAME@\r\nfrom @SHCTL_LOCATION@\n$x {y} %z @shctl_a@ @SHCTL_ a@b\\1\t"
    assert render(text, VALUES) == (
        b"host web1\r\nfrom http://h/@SHCTL_HOSTNAME@\n$x {y} %z @shctl_a@ @SHCTL_ a@b\\1\t"
    )


@pytest.mark.parametrize("content", [b"\xff", b"\xe9t\xe9\r\n", b"\0", b"a\0", b"\xed\xa0\x80"])
def test_render_leaves_binary_files_unchanged(content: bytes) -> None:
    content += b"@SHCTL_ADDRESS@ @SHCTL_NOBODY@"
    assert render(content, VALUES) == content


def test_unknown_placeholder_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        render(b"@SHCTL_HOSTNAM@", VALUES)
    assert caught.value.detail == (
        "inject: unknown placeholder @SHCTL_HOSTNAM@:"
        " must be one of @SHCTL_ADDRESS@, @SHCTL_HOSTNAME@, @SHCTL_LOCATION@"
    )


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\x1b[2J", "a\x85b", "a\u2028b"])
def test_value_of_several_lines(value: str) -> None:
    with pytest.raises(InvalidInput, match="^values: HOSTNAME contains line breaks"):
        render(b"x", {"HOSTNAME": value})
