"""Paths of shctl's files."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from shctl.common import locks, paths

FUNCTIONS = [
    function
    for name, function in inspect.getmembers(paths, inspect.isfunction)
    if not name.startswith("_") and name != "relocate"
]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    paths.relocate(tmp_path)
    yield tmp_path
    paths.relocate("")


def test_production_reads_no_environment() -> None:
    assert paths.config_file() == "/etc/shctl/shctl.toml"
    assert str(paths.socket()) == "/run/shctl/shctl.sock"
    assert "environ" not in inspect.getsource(paths)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_path_is_relocated(function: object, root: Path) -> None:
    assert callable(function)
    assert Path(function()).is_relative_to(root)


def test_locks_work_under_another_root(root: Path) -> None:
    with locks.hold("host", "web1"):
        assert list(paths.locks().iterdir())
    assert paths.locks().is_relative_to(root)
