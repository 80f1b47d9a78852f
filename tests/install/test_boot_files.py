"""Boot files: each host has its own; QEMU's user can read them, and no one else the secret ones."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shctl.common import paths
from shctl.common.errors import Conflict, InvalidInput, NoSpace
from shctl.install import boot_files, media
from shctl.install.media import InstallOptions, Media
from tests.support import call


@pytest.fixture(autouse=True)
def umask_077() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with a kernel and an initrd, on the file system of the boot files."""
    monkeypatch.setattr(paths, "boot_files", lambda: tmp_path / "boot")
    for name in ("kernel", "initrd"):
        (tmp_path / name).write_bytes(name.encode())
        (tmp_path / name).chmod(0o644)
    return tmp_path


def found(directory: Path, **answers: bytes) -> Media:
    return Media(
        directory / "kernel", directory / "initrd", "quiet", answers, {}, "", "http://here/"
    )


def modes(host: str) -> list[int]:
    directory = boot_files.directory(host)
    paths = (directory, directory / "kernel", directory / "initrd")
    return [path.stat().st_mode & 0o777 for path in paths]


@pytest.mark.hypervisor
def test_r54_files_are_copies_even_on_one_file_system(cached: Path) -> None:
    staged = media.stage(found(cached), "web1")
    assert (boot_files.directory("web1") / "kernel").read_bytes() == b"kernel"
    assert modes("web1") == [0o755, 0o644, 0o644]
    for file in (staged.kernel, staged.initrd):
        assert file
        os.chown(file, 1, 1)
    facts = [(cached / name).stat() for name in ("kernel", "initrd")]
    assert [(one.st_uid, one.st_nlink) for one in facts] == [(0, 1), (0, 1)]


@pytest.mark.hypervisor
def test_files_are_copied_from_another_file_system(cached: Path) -> None:
    """The directory for boot files is a separate file system."""
    (cached / "boot").mkdir()
    call("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(cached / "boot"))
    try:
        media.stage(found(cached), "web1")
        assert modes("web1") == [0o755, 0o644, 0o644]
        assert (boot_files.directory("web1") / "initrd").read_bytes() == b"initrd"
    finally:
        call("umount", str(cached / "boot"))


@pytest.mark.hypervisor
def test_full_file_system(cached: Path) -> None:
    (cached / "kernel").write_bytes(b"k" * 100_000)
    (cached / "boot").mkdir()
    call("mount", "-t", "tmpfs", "-o", "size=64k", "none", str(cached / "boot"))
    try:
        with pytest.raises(NoSpace):
            media.stage(found(cached), "web1")
    finally:
        call("umount", str(cached / "boot"))


def test_answers_are_secret_and_not_cached(cached: Path) -> None:
    media.stage(found(cached, **{"preseed.cfg": b"password"}), "web1")
    assert modes("web1") == [0o755, 0o644, 0o600]
    assert (cached / "initrd").read_bytes() == b"initrd"
    assert (boot_files.directory("web1") / "initrd").read_bytes().startswith(b"initrd")


def test_leftovers_of_a_former_host_are_removed(cached: Path) -> None:
    media.stage(found(cached, secret=b"x"), "web1")
    media.stage(found(cached), "web1")
    assert sorted(path.name for path in boot_files.directory("web1").iterdir()) == [
        "initrd",
        "kernel",
    ]
    boot_files.remove_boot_files("web1")
    boot_files.remove_boot_files("web1")
    assert not boot_files.directory("web1").exists()


def test_link_in_place_of_boot_files_is_kept(cached: Path) -> None:
    paths.boot_files().mkdir()
    boot_files.directory("web1").symlink_to(cached)
    boot_files.remove_boot_files("web1")
    with pytest.raises(Conflict, match="web1 contains files that shctl did not make"):
        boot_files.make_boot_directory("web1")
    assert (cached / "kernel").exists()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (InstallOptions(location="http://h/", cmdline="a\tb"), "cmdline"),
        (InstallOptions(location="http://h/", cmdline="a\x7f"), "cmdline"),
        (InstallOptions(cmdline="a"), "cmdline"),
        (InstallOptions(kernel="a"), "kernel"),
        (InstallOptions(initrd="a"), "initrd"),
        (InstallOptions(inject={"a": b"b"}), "inject"),
        (InstallOptions(values={"A": "b"}), "values"),
        (InstallOptions(location="http://h/", values={"A": "b"}), "values"),
        (InstallOptions(location="http://h/", inject={"a": b"", "a/b": b""}), "inject"),
    ],
)
def test_invalid_options_are_refused(options: InstallOptions, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        media.check(options)
    assert caught.value.field == field
