"""Scoreboard R13 and R24 to R28: an installation finishes whether or not anybody watches it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.guests import End
from tests.install import treeserver
from tests.installations import (
    BOOT,
    SAY,
    Trees,
    arguments,
    begin,
    boots_from_disk,
    delete,
    failure,
    install_of,
    log_of,
    one_line,
    starts,
    virsh,
    wait_until_off,
)
from tests.scoreboard import Figures
from tests.support import (
    HANG,
    SHCTL,
    VOLUMES,
    daemon,
    environment,
    eventually,
    finish,
    ok,
    qemu_pid,
    run,
    spawn,
    state,
)

pytestmark = pytest.mark.usefixtures("vlan10")

SOON = 5  # seconds that the scoreboard allows from the installer's end to the boot from disk


def says_hello(name: str) -> None:
    eventually(lambda: SAY in log_of(name))


def qemu_process(name: str) -> Path:
    return Path(f"/proc/{qemu_pid(name)}")


def from_disk_once(name: str) -> None:
    """Check that a host is installed and runs from its disk, after a single start."""
    assert install_of(name)["phase"] == "installed"
    assert state(name) == "running"
    eventually(lambda: boots_from_disk(name))
    assert (boots_from_disk(name), starts(name)) == (1, 2)
    assert not (BOOT / name).exists()


# --- R24, R25: the installer reboots or powers off ----------------------------------------------


@pytest.mark.parametrize("end", [End.RESET, End.POWER_OFF], ids=["r24", "r25"])
def test_r24_r25_clean_end_starts_from_disk_within_5_s(
    end: End, name: str, trees: Trees, figures: Figures
) -> None:
    begin(name, trees.of(end))
    installer = qemu_process(name)
    waiting = spawn("hosts", "wait", name, "--for", "installed")
    says_hello(name)
    eventually(lambda: not installer.exists())
    with figures.within(SOON, "from disk"):
        eventually(lambda: boots_from_disk(name))
    assert finish(waiting).code == 0
    from_disk_once(name)


def test_r24_create_waits_for_the_end(name: str, trees: Trees) -> None:
    done = run("-o", "json", *arguments(name, trees.of(End.RESET), "--wait"))
    assert (done.code, done.err) == (0, "")
    assert (done.json["state"], done.json["install"]["phase"]) == ("running", "installed")
    assert done.json["install"]["ended"]
    from_disk_once(name)


# --- R26: the installer never ends --------------------------------------------------------------


@pytest.mark.parametrize("end", [End.HALT, End.SPIN])
def test_r26_deadline_fails_and_keeps_the_host_running(name: str, end: End, trees: Trees) -> None:
    done = run(*arguments(name, trees.of(end), "--wait", "--install-timeout", "2"))
    assert done.code == 7
    assert one_line(done)
    assert "deadline" in done.err
    assert install_of(name)["reason"].startswith("deadline")
    assert state(name) == "running"
    assert SAY in log_of(name)
    # Once reported, it may power off like any other host, and then boots from disk.
    ok("hosts", "stop", name, "--force")
    ok("hosts", "start", name)
    eventually(lambda: boots_from_disk(name))
    assert install_of(name)["phase"] == "failed"


def test_r26_failed_installer_may_be_asked_to_stop(name: str, trees: Trees) -> None:
    begin(name, trees.of(End.HALT), "--install-timeout", "1")
    assert "deadline" in failure(name)
    done = run("hosts", "reboot", name)
    assert done.code == 4
    assert "has failed" in done.err
    assert run("hosts", "stop", name, "--timeout", "0.2").code == 5


# --- R27: the installer's QEMU ends another way -------------------------------------------------


def test_r27_qemu_killed(name: str, trees: Trees) -> None:
    begin(name, trees.of(End.HALT))
    says_hello(name)
    os.kill(qemu_pid(name), signal.SIGKILL)
    assert f"/var/log/libvirt/qemu/{name}.log" in failure(name)
    assert state(name) == "crashed"
    assert (VOLUMES / f"{name}-sda").exists()
    assert SAY in ok("hosts", "log", name)


@pytest.mark.parametrize("by", ["hosts stop --force", "virsh destroy"])
def test_r27_powered_off_by_an_admin(name: str, by: str, trees: Trees) -> None:
    begin(name, trees.of(End.HALT))
    if by == "virsh destroy":
        virsh("destroy", name)
    else:
        ok("hosts", "stop", name, "--force")
    assert "powered off" in failure(name)
    assert state(name) == "shut off"


def test_r27_clean_stop_and_reboot_are_refused(name: str, trees: Trees) -> None:
    begin(name, trees.of(End.HALT))
    for verb in ("stop", "reboot"):
        done = run("hosts", verb, name)
        assert done.code == 4
        assert one_line(done)
        assert "being installed" in done.err
    assert run("hosts", "reboot", name, "--force").code == 4
    assert install_of(name)["phase"] == "installing"
    assert state(name) == "running"


def test_r27_started_from_disk_by_another_tool(name: str, trees: Trees) -> None:
    """The installer was killed, and virsh started the host before shctl noticed."""
    begin(name, trees.of(End.HALT))
    virsh("destroy", name)
    virsh("start", name)
    assert "powered off" in failure(name)


def test_r24_started_from_disk_by_another_tool(name: str, trees: Trees) -> None:
    """The installer had ended normally, and virsh started the host before shctl noticed."""
    begin(name, trees.of(End.RESET))
    wait_until_off(name)
    virsh("start", name)
    from_disk_once(name)


# --- R28: watchers are killed --------------------------------------------------------------------


@pytest.mark.parametrize("finisher", ["wait", "show", "start", "doctor"])
def test_r28_watcher_killed_during_the_installation(name: str, finisher: str, trees: Trees) -> None:
    watcher = spawn(*arguments(name, trees.of(End.RESET, after=0.5), "--wait"))
    eventually(lambda: name in virsh("list", "--name"))
    eventually(lambda: 'complete="no"' not in virsh("dumpxml", name))
    watcher.kill()
    finish(watcher)
    wait_until_off(name)
    assert starts(name) == 1
    ok(*{
        "wait": ["hosts", "wait", name, "--for", "installed"],
        "show": ["hosts", "show", name],
        "start": ["hosts", "start", name],
        "doctor": ["doctor", "--fix"],
    }[finisher])  # fmt: skip
    from_disk_once(name)


@pytest.mark.parametrize("delay", [0, 0.15, 0.3])
def test_r28_watcher_killed_in_the_switch_to_disk(name: str, delay: float, trees: Trees) -> None:
    """The kill follows the installer's end: before, during and after the second start."""
    begin(name, trees.of(End.RESET))
    installer = qemu_process(name)
    watcher = spawn("hosts", "wait", name, "--for", "installed")
    eventually(lambda: not installer.exists())
    time.sleep(delay)  # the moment of the kill is the test's parameter
    watcher.kill()
    finish(watcher)
    ok("hosts", "wait", name, "--for", "installed")
    from_disk_once(name)


def test_r28_many_watchers_start_the_host_once(name: str, trees: Trees) -> None:
    begin(name, trees.of(End.RESET))
    watchers = [spawn("hosts", "wait", name, "--for", "installed") for _ in range(4)]
    assert [finish(watcher).code for watcher in watchers] == [0] * 4
    from_disk_once(name)


def test_r28_libvirtd_killed_during_the_installation(
    name: str, trees: Trees, tmp_path: Path
) -> None:
    """QEMU runs on without libvirtd, and a waiting command continues."""
    begin(name, trees.of(End.RESET, after=1))
    log = tmp_path / "log"
    with log.open("w") as stream:
        argv = [*SHCTL, "--debug", "hosts", "wait", name, "--for", "installed"]
        watcher = subprocess.Popen(
            argv, env=environment(), stdout=subprocess.DEVNULL, stderr=stream
        )
    # Until libvirt has answered once, it might never come back.
    eventually(lambda: "virDomainGetState" in log.read_text())
    daemon("kill", "libvirtd")
    daemon("start", "libvirtd")
    assert watcher.wait(HANG) == 0
    from_disk_once(name)


def test_r28_libvirtd_restarted_after_the_end(trees: Trees) -> None:
    """After a restart, libvirt does not know how the installer ended."""
    begin("well", trees.of(End.RESET))
    begin("badly", trees.of(End.HALT))
    virsh("destroy", "badly")
    wait_until_off("well")
    daemon("kill", "libvirtd")
    daemon("start", "libvirtd")
    assert "(unknown)" in virsh("domstate", "--reason", "well")
    from_disk_once("well")
    assert "powered off" in failure("badly")
    delete("well", "badly")


# --- R13: deletion meanwhile --------------------------------------------------------------------


def test_r13_deleted_during_its_installation(name: str, trees: Trees) -> None:
    creator = spawn(*arguments(name, trees.of(End.HALT), "--wait"))
    eventually(lambda: (BOOT / name).exists())
    ok("hosts", "delete", "--yes", name)
    done = finish(creator)
    assert done.code == 3
    assert one_line(done)
    assert run("hosts", "show", name).code == 3
    assert not (BOOT / name).exists()


def test_r13_deleted_during_its_download(name: str, trees: Trees) -> None:
    """There is no host to delete yet; an interrupted creation leaves nothing."""
    location = trees.of(End.RESET)
    path = next(p for p in trees.server.files if p.endswith("initrd.img"))
    asked = []

    def stall(handler: treeserver.Handler) -> None:
        if "Range" in handler.headers:
            handler.answer(206, treeserver.INITRD[:1000])
        else:
            asked.append(path)
            treeserver.stall_in_body(handler)

    trees.server.modes[path] = stall
    creator = spawn(*arguments(name, location, "--wait"))
    eventually(lambda: asked)
    assert run("hosts", "delete", "--yes", name).code == 3
    creator.send_signal(signal.SIGINT)
    assert finish(creator).code == 130
    assert run("hosts", "show", name).code == 3
