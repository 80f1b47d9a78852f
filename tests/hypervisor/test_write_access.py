"""Changes are for root, and only on the machine that shctl runs on."""

import subprocess
import sys

import pytest

from tests.support import ROOT, create, environment, ok, port_of, port_rows, run, state

pytestmark = pytest.mark.usefixtures("vlan10")

# The same libvirt, addressed like that of another machine.
ELSEWHERE = "qemu+tcp://192.0.2.1/system"
CHANGES = [
    "hosts create new --memory 64 --disk 1 --network vlan10",
    "hosts start here",
    "hosts delete here --yes",
    "hosts adopt here",
    "networks create new --bridge br0 --vlan 7",
    "networks delete vlan10 --yes",
    "doctor",
    "doctor --fix",
]
# The checkout and its Python may be below a directory that only root can enter.
AS_NOBODY = """
mount --bind "$1" /mnt && cd /
exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "${@:2}"
"""


@pytest.mark.parametrize("line", CHANGES)
def test_another_machine_is_not_changed(line: str) -> None:
    """Its ports, logs and files are not those of this machine."""
    done = run("--connect", ELSEWHERE, *line.split())
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "is another machine" in done.err


@pytest.mark.parametrize("line", CHANGES)
def test_only_root_changes_anything(line: str) -> None:
    """libvirt allows its group more, so a change would fail halfway."""
    create("here", "--start")
    python = sys.executable.replace(f"{ROOT}/", "/mnt/")
    shctl = ["env", "PYTHONPATH=/mnt", python, "-m", "shctl"]
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", AS_NOBODY, "as_nobody", ROOT, *shctl, *line.split()],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)
    assert "only root may do this" in done.stderr
    assert state("here") == "running"
    assert port_rows()[port_of("here")]["tag"] == 10
    ok("hosts", "delete", "--yes", "here")
