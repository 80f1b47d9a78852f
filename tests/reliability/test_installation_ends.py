"""Scoreboard R47: installers that write nothing, expired deadlines, wrong clocks."""

import subprocess
from pathlib import Path

import pytest

from shctl.common import clock
from shctl.common.states import Phase
from shctl.xml.metadata import Installation
from tests.guests import End, boot_sector, kernel
from tests.installations import (
    FROM_DISK,
    SAY,
    Trees,
    arguments,
    begin,
    boots_from_disk,
    failure,
    install_of,
    log_of,
    starts,
    virsh,
    wait_until_off,
)
from tests.support import ROOT, VOLUMES, eventually, ok, run, state

pytestmark = pytest.mark.usefixtures("vlan10")

HOURS = 3 * 3600  # seconds
OVERLAY = Path("/var/lib/libvirt/images/overlay.qcow2")


# --- an installer that writes nothing -----------------------------------------------------------


@pytest.mark.parametrize("end", [End.RESET, End.POWER_OFF])
@pytest.mark.parametrize("finisher", ["wait", "start", "doctor"])
def test_r47_installer_that_writes_nothing(
    name: str, end: End, finisher: str, trees: Trees
) -> None:
    begin(name, trees.add("idle", kernel(SAY, end)))
    wait_until_off(name)
    if finisher == "start":
        # On request it starts from its disk, but it does not count as installed.
        ok("hosts", "start", name)
    elif finisher == "doctor":
        ok("doctor", "--fix")
    assert "the installer ended without writing to a disk" in failure(name)
    assert state(name) == ("running" if finisher == "start" else "shut off")
    assert (VOLUMES / f"{name}-sda").exists()


def test_r47_installer_that_writes_no_boot_sector(name: str, trees: Trees) -> None:
    done = run(*arguments(name, trees.add("data", kernel(SAY, installs=b"x" * 512)), "--wait"))
    assert (done.code, "without writing a boot sector" in done.err) == (7, True)
    assert (state(name), starts(name)) == ("shut off", 1)


def test_r47_boot_sector_on_the_second_disk_only(name: str, trees: Trees) -> None:
    begin(name, trees.add("second", kernel(SAY, after=1)), "--disk", "1")
    with (VOLUMES / f"{name}-sdb").open("r+b") as disk:
        disk.write(boot_sector(FROM_DISK))
    assert "the only one that the BIOS boots" in failure(name)
    assert (state(name), starts(name)) == ("shut off", 1)


def test_r47_partition_table_without_a_boot_loader(name: str, trees: Trees) -> None:
    table = (bytes(446) + b"\x80\0\0\0\x83").ljust(510, b"\0") + b"\x55\xaa"
    done = run(*arguments(name, trees.add("table", kernel(SAY, installs=table)), "--wait"))
    assert (done.code, "without writing a boot sector" in done.err) == (7, True)
    assert (state(name), starts(name)) == ("shut off", 1)


def test_r47_unreadable_disk_is_reported(name: str, trees: Trees) -> None:
    """A snapshot was taken meanwhile, so the installer's data is in another format."""
    begin(name, trees.add("seen", kernel(SAY, End.RESET, installs=boot_sector(FROM_DISK))))
    eventually(lambda: SAY in log_of(name))
    wait_until_off(name)
    virsh(
        "snapshot-create-as", name, "before", "--disk-only",
        "--diskspec", f"sda,file={OVERLAY}",
    )  # fmt: skip
    try:
        ok("hosts", "wait", name, "--for", "installed")
        assert "could not be checked: disk sda: its format is not raw" in install_of(name)["reason"]
        eventually(lambda: boots_from_disk(name))
    finally:
        virsh("destroy", name)
        virsh("snapshot-delete", name, "before", "--metadata")
        stored = virsh("dumpxml", "--inactive", name)
        stored = stored.replace(str(OVERLAY), str(VOLUMES / f"{name}-sda"))
        redefine(stored.replace("type='qcow2'", "type='raw'"))
        OVERLAY.unlink()


def redefine(xml: str) -> None:
    argv = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"]
    subprocess.run(argv, input=xml, text=True, check=True, timeout=60, capture_output=True)


# --- an installer that was saved ----------------------------------------------------------------


@pytest.mark.parametrize("by", ["hosts start", "virsh start"])
def test_r47_saved_installer_continues(name: str, by: str, trees: Trees) -> None:
    """As libvirt-guests saves and restores running guests across a reboot."""
    begin(name, trees.of(End.RESET, after=2), "--install-timeout", "60")
    eventually(lambda: SAY in log_of(name))
    virsh("managedsave", name)
    assert install_of(name)["phase"] == "installing"
    assert run("hosts", "wait", name, "--for", "installed", "--timeout", "1").code == 5
    if by == "hosts start":
        ok("hosts", "start", name)
    else:
        virsh("start", name)
    wait_until_off(name)
    ok("hosts", "wait", name, "--for", "installed")
    eventually(lambda: boots_from_disk(name))
    assert log_of(name).count(SAY) == 1


def test_r47_saved_installer_that_is_destroyed_later(name: str, trees: Trees) -> None:
    begin(name, trees.of(End.HALT))
    eventually(lambda: SAY in log_of(name))
    virsh("managedsave", name)
    virsh("start", name)
    virsh("destroy", name)
    assert "powered off before the installer ended" in failure(name)


# --- a deadline that has passed -----------------------------------------------------------------


def let_deadline_pass(name: str, location: str) -> None:
    """Begin an installation and suspend its installer until the missed deadline is recorded."""
    begin(name, location, "--install-timeout", "1")
    virsh("suspend", name)
    assert "deadline" in failure(name)
    assert starts(name) == 1
    virsh("resume", name)


@pytest.mark.parametrize("finisher", ["show", "start", "doctor"])
def test_r47_installer_that_succeeds_after_its_deadline(
    name: str, finisher: str, trees: Trees
) -> None:
    let_deadline_pass(name, trees.of(End.RESET, after=2))
    wait_until_off(name)
    ok(*{
        "show": ["hosts", "show", name],
        "start": ["hosts", "start", name],
        "doctor": ["doctor", "--fix"],
    }[finisher])  # fmt: skip
    install = install_of(name)
    assert (install["phase"], install["reason"]) == ("installed", None)
    eventually(lambda: boots_from_disk(name))
    assert (boots_from_disk(name), starts(name)) == (1, 2)


@pytest.mark.parametrize("by", ["stop", "stop --force", "virsh destroy"])
def test_r47_installer_that_was_stopped_after_its_deadline(
    name: str, by: str, trees: Trees
) -> None:
    """It did not succeed, even if it powers off normally on request."""
    let_deadline_pass(name, trees.of(End.RESET, after=4))
    if by == "virsh destroy":
        virsh("destroy", name)
    elif by == "stop":
        ok("hosts", "stop", name, "--timeout", "30")
    else:
        ok("hosts", "stop", name, "--force")
    wait_until_off(name)
    assert install_of(name)["phase"] == "failed"
    assert (state(name), starts(name)) == ("shut off", 1)
    assert ok("doctor") == ""


def test_r47_installer_that_writes_nothing_after_its_deadline(name: str, trees: Trees) -> None:
    let_deadline_pass(name, trees.add("slow", kernel(SAY, after=2)))
    wait_until_off(name)
    assert "without writing to a disk" in failure(name)


# --- clocks that are set ------------------------------------------------------------------------


@pytest.fixture
def wrong(tmp_path: Path) -> dict[int, dict[str, str]]:
    """Return environments in which Python's clock is wrong, by the number of seconds."""
    code = "import os, time\nright = time.time\n"
    code += "time.time = lambda: right() + int(os.environ['WRONG_BY'])\n"
    (tmp_path / "sitecustomize.py").write_text(code)
    path = f"{tmp_path}:{ROOT}"
    return {by: {"PYTHONPATH": path, "WRONG_BY": str(by)} for by in (-HOURS, HOURS)}


@pytest.mark.parametrize("by", [-HOURS, HOURS])
def test_r47_clock_is_wrong_for_a_show(
    name: str, by: int, wrong: dict[int, dict[str, str]], trees: Trees
) -> None:
    begin(name, trees.of(End.RESET, after=10))
    done = run("-o", "json", "hosts", "show", name, **wrong[by])
    assert (done.json["install"]["phase"], done.json["install"]["reason"]) == ("installing", None)
    assert run("doctor", **wrong[by]).out == ""
    wait = ["hosts", "wait", name, "--for", "installed", "--timeout"]
    assert run(*wait, "0", **wrong[by]).code == 5
    assert run(*wait, "60", **wrong[by]).code == 0
    eventually(lambda: boots_from_disk(name))
    assert starts(name) == 2


@pytest.mark.parametrize(("by", "given"), [(-HOURS, "2h"), (HOURS, "1")])
def test_r47_clock_is_wrong_at_the_creation(
    name: str, by: int, given: str, wrong: dict[int, dict[str, str]], trees: Trees
) -> None:
    """The installation has exactly the time that was specified."""
    done = run(*arguments(name, trees.of(End.HALT), "--install-timeout", given), **wrong[by])
    assert done.code == 0
    if by < 0:
        assert install_of(name)["phase"] == "installing"
    else:
        assert "deadline" in failure(name)


def installation(**given: object) -> Installation:
    return Installation(Phase.INSTALLING, clock.now(), **given)  # type: ignore[arg-type]


def test_r47_deadlines_by_uptime_and_by_clock() -> None:
    past, future = clock.now(-60), clock.now(60)
    boot, now = clock.boot_id(), int(clock.uptime())
    assert installation(deadline=future, boot=boot, until=now - 1).overdue
    assert not installation(deadline=past, boot=boot, until=now + 60).overdue
    # The uptime is meaningless in another boot of the machine.
    assert installation(deadline=past, boot="another", until=now + 60).overdue
    assert not installation(deadline=future, boot="another", until=now - 1).overdue
    # As an earlier shctl wrote it.
    assert installation(deadline=past).overdue
    assert not Installation(Phase.FAILED, clock.now(), past, reason="deadline: ...").pending
