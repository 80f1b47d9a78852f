"""Locks between processes and threads."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from shctl.common import locks
from shctl.common.errors import Conflict
from tests.support import environment

HOLDER = """
import sys
from shctl.common import locks
with locks.hold("host", sys.argv[1], shared=len(sys.argv) > 2):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(name: str, *shared: str) -> Iterator["subprocess.Popen[str]"]:
    """Hold a lock in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, name, *shared], env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_other_process_cannot_take_the_lock() -> None:
    with held_elsewhere("lock1"):
        words = "another shctl process is working on host 'lock1'"
        with pytest.raises(Conflict, match=words), locks.hold("host", "lock1", timeout=0):
            pytest.fail("two holders")
        with locks.hold("host", "lock2", timeout=0), locks.hold("network", "lock1", timeout=0):
            pass


def test_error_uses_the_label() -> None:
    words = "^another shctl process is working on the one; try again$"
    with (
        locks.hold("host", "lock8"),
        pytest.raises(Conflict, match=words),
        locks.hold("host", "lock8", timeout=0, label="the one"),
    ):
        pytest.fail("two holders")


def test_shared_holders_exclude_others() -> None:
    with held_elsewhere("lock3", "shared"):
        with locks.hold("host", "lock3", shared=True, timeout=0):
            pass
        with pytest.raises(Conflict), locks.hold("host", "lock3", timeout=0):
            pytest.fail("two holders")


def test_lock_of_a_killed_process_is_released() -> None:
    with held_elsewhere("lock4") as process:
        os.kill(process.pid, signal.SIGKILL)
        with locks.hold("host", "lock4"):
            pass


def test_waits_until_the_lock_is_released() -> None:
    with held_elsewhere("lock5") as process:
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            process.kill()

        threading.Timer(0.2, kill).start()
        with locks.hold("host", "lock5"):
            assert killed.is_set()
        assert process.wait(10) == -signal.SIGKILL


def test_threads_exclude_each_other() -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(5):
            with locks.hold("host", "lock6"):
                inside.append(1)
                time.sleep(0.005)  # another thread would enter here if it could
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20


def test_failure_releases_the_lock() -> None:
    with pytest.raises(RuntimeError), locks.hold("host", "lock7"):
        raise RuntimeError
    with locks.hold("host", "lock7", timeout=0):
        pass


@pytest.mark.hypervisor
@pytest.mark.parametrize("name", ["..", "a/b", "$(id)", "é", "x" * 800, "."])
def test_any_name_maps_to_a_plain_file(name: str) -> None:
    everywhere = locks.directory().parent
    before = set(everywhere.rglob("*"))
    with locks.hold("odd", name, timeout=0):  # no other test has locks of this kind
        new = set(everywhere.rglob("*")) - before
    assert [file.parent for file in new] == [locks.directory()]


def test_only_root_can_reach_the_locks_under_any_umask() -> None:
    before = os.umask(0)
    try:
        path = locks.directory()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o700
    assert path.parent.stat().st_mode & 0o022 == 0


def test_held_lock_is_reported_before_the_wait() -> None:
    reported: list[str] = []

    def hold(name: str) -> AbstractContextManager[None]:
        return locks.hold("host", name, timeout=0, before_wait=lambda: reported.append(name))

    with hold("web1"), hold("web2"), pytest.raises(locks.Busy), hold("web1"):
        pytest.fail("both hold it")
    assert reported == ["web1"]
