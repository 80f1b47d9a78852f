"""doctor while other shctl processes run: an operation in progress is not a leftover."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from shctl.common import locks
from shctl.doctor import examine
from shctl.hypervisor.connection import Hypervisor
from tests.guests import End
from tests.installations import serving
from tests.kill_points import Forker
from tests.scoreboard import rounds
from tests.support import URI, call, eventually, run

pytestmark = pytest.mark.hypervisor

CREATE = "hosts create k --memory 64 --disk 1 --network vlan10"


@pytest.fixture(scope="module")
def commands() -> Iterator[dict[str, str]]:
    with serving() as trees:
        yield {
            "create": f"{CREATE} --start",
            "install": f"{CREATE} --install --location {trees.of(End.SPIN)}",
            "delete": "hosts delete --yes k",
        }


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("name", ["create", "install", "delete"])
def test_operation_in_progress_is_left_alone(
    name: str, shctl: Forker, commands: dict[str, str]
) -> None:
    """Suspend the operation at each step in turn, run doctor, and let it finish."""
    words, hypervisor = commands[name].split(), Hypervisor(URI)
    opposite = (commands["create"] if name == "delete" else "hosts delete --yes k").split()
    shctl.run(*opposite)
    assert shctl.run(*words) == 0
    steps = len(shctl.trace)
    for step in range(1, steps + 1, 1 if rounds(2, 1) > 1 else 3):
        assert shctl.run(*opposite) == 0
        pid = shctl.begin(*words, kill_at=step, number=signal.SIGSTOP)
        eventually(partial(is_stopped, pid))
        assert examine(hypervisor, fix=True) == []
        os.kill(pid, signal.SIGCONT)
        assert shctl.end() == 0
    assert run("hosts", "delete", "--yes", "k", "--if-exists").code == 0


def test_file_deleted_with_its_host_is_not_a_finding(tmp_path: Path) -> None:
    """doctor listed it while the host still existed."""
    from shctl.doctor.files import _orphaned

    for path in (tmp_path / "gone.log", tmp_path / "left.log"):
        path.touch()
    files = {path: path.stem for path in tmp_path.iterdir()}
    (tmp_path / "gone.log").unlink()
    found = _orphaned(files, lambda: {"gone", "left"}, "problem", Path.unlink)
    assert [finding.name for finding, _ in found] == [str(tmp_path / "left.log")]


def test_busy_host_is_not_checked(shctl: Forker) -> None:
    """A port without its QEMU and a host without its volume look like a deletion in progress."""
    hypervisor = Hypervisor(URI)
    assert shctl.run(*CREATE.split()) == 0
    row = "--no-wait add-port br0 vnet900 tag=99 -- set interface vnet900"
    owner = f"external_ids:vm-id={hypervisor.domain('k').uuid}"
    call("ovs-vsctl", *row.split(), owner)
    call("virsh", "vol-delete", "k-sda", "shctl")
    with locks.hold("host", "k"):
        assert examine(hypervisor) == []
    found = {(finding.kind, finding.result) for finding in examine(hypervisor, fix=True)}
    assert found == {("host", None), ("port", "fixed")}
    assert run("hosts", "delete", "--yes", "k").code == 0


def test_several_doctors_at_once(shctl: Forker, snapshot: Callable[[], object]) -> None:
    before = snapshot()
    shctl.run(*CREATE.split(), kill_at=2)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: examine(Hypervisor(URI), fix=True), range(4)))
    assert {finding.result for one in found for finding in one} == {"fixed"}
    eventually(lambda: snapshot() == before)


def test_new_host_of_the_same_name_is_kept(shctl: Forker) -> None:
    """A complete host may take the place of the interrupted one before doctor fixes it."""
    from shctl.doctor.hosts import interrupted
    from shctl.hosts import deletion

    hypervisor = Hypervisor(URI)
    shctl.run(*CREATE.split(), kill_at=3)
    ((_, finish),) = interrupted(hypervisor)
    deletion.delete(hypervisor, "k")
    assert shctl.run(*CREATE.split()) == 0
    assert finish
    finish()
    assert examine(hypervisor) == []
    assert run("hosts", "delete", "--yes", "k").code == 0
