"""The space of pools on file systems; tests/frontends/test_status.py has the others."""

import os
from pathlib import Path
from threading import Event

import pytest

from shctl.common.errors import Conflict, TimedOut
from shctl.storage import space
from tests.support import eventually


def test_numbers_of_a_file_system(tmp_path: Path) -> None:
    found, expected = space._file_system("p", str(tmp_path)), os.statvfs(tmp_path)
    assert found.capacity == expected.f_blocks * expected.f_frsize
    assert found.allocation + found.available <= found.capacity


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="of pool 'p': No such file or directory"):
        space._file_system("p", str(tmp_path / "none"))


def test_a_file_system_that_hangs_gets_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a dead NFS server; each call would keep a thread."""
    calls, answered, path = [], Event(), str(tmp_path)
    answer = os.statvfs(path)

    def hang(asked: str) -> os.statvfs_result:
        calls.append(asked)
        assert answered.wait(60)
        return answer

    monkeypatch.setattr(os, "statvfs", hang)
    monkeypatch.setattr(space, "_TIMEOUT", 0.01)
    for _ in range(3):
        with pytest.raises(TimedOut, match="no response within"):
            space._file_system("p", path)
    assert calls == [path]
    answered.set()
    eventually(lambda: space._hung[path].finished)
    monkeypatch.setattr(space, "_TIMEOUT", 20)
    assert space._file_system("p", path).capacity == answer.f_blocks * answer.f_frsize
