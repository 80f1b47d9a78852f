"""File types, and missing files as opposed to unreadable ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shctl.commands import settings
from shctl.common import files, paths
from shctl.common.errors import InvalidInput
from shctl.install import local_tree
from shctl.install.cache import Cache
from shctl.install.http import urls
from shctl.install.http.errors import FetchFailed
from tests.support import environment
from tests.systemd_unit import HOME, as_service


def test_r06_all_paths_of_a_file_have_one_identity(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    (tmp_path / "soft").symlink_to("hard")
    same = ["a", "hard", "soft", "../" + tmp_path.name + "/a"]
    assert len({files.identity(f"{tmp_path}/{name}") for name in same}) == 1
    assert files.identity(f"{tmp_path}/a") != files.identity(f"{tmp_path}/b")


@pytest.mark.hypervisor
def test_missing_file_is_identified_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert files.identity(f"{tmp_path}/link") == f"{tmp_path}/nowhere"
    assert files.identity("pool/image") == "pool/image"
    assert files.stat_or_none(tmp_path / "nowhere") is None
    assert files.children(tmp_path / "nowhere") == []
    assert files.exists(tmp_path / "link")
    assert not files.exists(tmp_path / "nowhere")


@pytest.mark.hypervisor
@pytest.mark.parametrize("name", ["loop", "file/below", "a\0b", "x" * 300])
def test_r40_unreadable_path_is_not_taken_for_missing(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for question in (files.identity, files.stat_or_none, files.children):
        with pytest.raises(files.Unreadable, match="run the command again"):
            question(f"{tmp_path}/{name}")


PROBE = """
import sys
from shctl.common import files
for path in sys.argv[1:]:
    try:
        files.identity(path)
        print("seen")
    except files.Unreadable as error:
        print(error.detail)
"""


@pytest.mark.hypervisor
@pytest.mark.parametrize(
    "path", [HOME / "a", Path("/dev/shctl/a"), Path("/tmp/shctl-not-there"), HOME.parent / "x/y"]
)
def test_r40_service_reports_what_it_cannot_read(path: Path) -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    probe = [sys.executable, "-c", PROBE, str(path)]
    env = environment()
    as_root = subprocess.run(probe, env=env, capture_output=True, text=True, check=True)
    assert as_root.stdout == "seen\n"
    done = subprocess.run(as_service(*probe), env=env, capture_output=True, text=True, check=True)
    assert f"cannot check {path}" in done.stdout
    assert "in a root shell" in done.stdout


@pytest.mark.hypervisor
def test_link_is_not_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "fifo")
    assert [files.is_regular(tmp_path / name) for name in ("a", "link", "fifo", "no")] == [
        True, False, False, False,
    ]  # fmt: skip


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Return a path that not even root can stat."""
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path / "loop"


def test_r40_unreadable_local_tree_is_not_reported_as_missing(loop: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        urls.parse_location(str(loop), local=True)
    for read in (local_tree.read, local_tree.peek):
        with pytest.raises(FetchFailed, match="check"):
            read(loop, loop.as_uri(), 100)
        assert read(loop.parent / "nothing", "file:///nothing", 100).status == "missing"


def test_r40_unreadable_settings_are_not_treated_as_absent(
    loop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "config_file", lambda: str(loop))
    with pytest.raises(InvalidInput, match="cannot read"):
        settings.load(None)
    monkeypatch.setattr(paths, "config_file", lambda: str(loop.parent / "nothing"))
    assert settings.load(None) == {}


@pytest.mark.hypervisor
def test_r40_unreadable_cache_is_an_error(loop: Path) -> None:
    with pytest.raises(files.Unreadable):
        Cache(loop).remove_leftovers()
    with pytest.raises(files.Unreadable):
        Cache(loop).entries()
    assert Cache(loop.parent / "nothing").entries() == []
