"""With and without a terminal: colours, questions, Ctrl-C."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.scoreboard import REFUSED, Figures
from tests.support import (
    HANG,
    SHCTL,
    VOLUMES,
    call,
    create,
    daemon,
    define,
    environment,
    eventually,
    finish,
    ok,
    qemu_pid,
    run,
    show,
    spawn,
    state,
)
from tests.terminal import at_terminal

pytestmark = pytest.mark.usefixtures("vlan10")

TEST = ("-c", "test:///default")
FOREIGN = (
    "<domain type='qemu'><name>foreign</name><memory>65536</memory>"
    "<os><type>hvm</type></os></domain>"
)
COLOUR = re.compile(r"\x1b\[3\dm")


def test_colour_at_a_terminal() -> None:
    assert COLOUR.search(at_terminal(*TEST, "hosts", "list")[1])


@pytest.mark.parametrize("output", ["json", "name"])
def test_no_colour_in_machine_readable_output(output: str) -> None:
    assert not COLOUR.search(at_terminal(*TEST, "-o", output, "hosts", "list")[1])


@pytest.mark.parametrize(("columns", "widest"), [(60, 60), (100, 100), (200, 100)])
def test_help_is_as_wide_as_the_terminal(columns: int, widest: int) -> None:
    screen = at_terminal("hosts", "create", "--help", columns=columns)[1]
    lines = screen.partition("Examples:")[0].splitlines()
    assert widest - 15 < max(map(len, lines)) <= widest


def test_no_color_is_honoured() -> None:
    assert not COLOUR.search(at_terminal(*TEST, "hosts", "list", NO_COLOR="1")[1])
    assert COLOUR.search(at_terminal(*TEST, "hosts", "list", NO_COLOR="")[1])


def test_no_colour_in_a_pipe() -> None:
    assert "\x1b" not in ok(*TEST, "hosts", "list")
    assert ok(*TEST, "hosts", "list").startswith("NAME")


def test_delete_asks_for_confirmation() -> None:
    create("asked")
    code, screen = at_terminal("hosts", "delete", "asked", typed=b"n\n")
    assert code == 1
    assert "Delete 1 host (asked; running: none) with 1 disk (1 GiB) for good?" in screen
    assert "nothing was deleted" in screen
    code, screen = at_terminal("hosts", "delete", "asked", typed=b"\x04")
    assert code == 130
    assert screen.splitlines()[-1] == "shctl: interrupted"
    assert run("hosts", "show", "asked").code == 0
    code, screen = at_terminal("hosts", "delete", "asked", typed=b"maybe\nn\n")
    assert (code, "Answer y or n." in screen) == (1, True)
    code, _ = at_terminal("hosts", "delete", "asked", typed=b"y\n")
    assert code == 0
    assert run("hosts", "show", "asked").code == 3


def test_one_question_names_and_covers_all() -> None:
    ok("networks", "create", "q1", "--bridge", "br0", "--vlan", "21")
    ok("networks", "create", "q2", "--bridge", "br0", "--vlan", "22")
    code, screen = at_terminal("networks", "delete", "q1", "q2", typed=b"y\n")
    assert code == 0
    assert screen.count("Delete") == 1
    assert "Delete 2 networks (q1: VLAN 21 on br0, q2: VLAN 22 on br0) for good?" in screen


@pytest.mark.parametrize("option", ["--yes", "-y"])
def test_yes_skips_the_question(option: str) -> None:
    create("sure")
    code, screen = at_terminal("hosts", "delete", "sure", option)
    assert code == 0
    assert "Delete" not in screen


@pytest.mark.parametrize("hidden", ["stdin", "stderr"])
def test_r51_no_question_without_stdin_or_stderr_at_a_terminal(hidden: str) -> None:
    create("unseen")
    person, terminal = pty.openpty()
    streams = {"stdin": terminal, "stderr": terminal, hidden: subprocess.DEVNULL}
    done = subprocess.run(
        [*SHCTL, "hosts", "delete", "unseen"], env=environment(), timeout=HANG, check=False,
        stdin=streams["stdin"], stderr=streams["stderr"],
    )  # fmt: skip
    os.close(terminal)
    os.close(person)
    assert done.returncode == 2
    ok("hosts", "delete", "--yes", "unseen")


def test_r51_question_names_hosts_and_disks() -> None:
    for name in ("one", "two"):
        create(name, "--disk", "2")
    ok("hosts", "start", "two")
    code, screen = at_terminal("hosts", "delete", "one", "two", typed=b"n\n", columns=200)
    assert (code, screen.count("Delete")) == (1, 1)
    assert "Delete 2 hosts (one, two; running: two) with 4 disks (6 GiB) for good?" in screen
    assert (state("one"), state("two")) == ("shut off", "running")
    ok("hosts", "delete", "--yes", "one", "two")


def test_r51_question_about_a_disk() -> None:
    create("one", "--disk", "2")
    remove = ("hosts", "disks", "remove", "one", "sdb")
    code, screen = at_terminal(*remove, typed=b"n\n", columns=200)
    assert (code, "disk sdb (2 GiB) of host one with all data on it for good?" in screen) == (
        1,
        True,
    )
    code, screen = at_terminal(*remove, "--keep", typed=b"n\n", columns=200)
    kept = "Remove disk sdb from host one, and keep /var/lib/shctl/volumes/one-sdb?"
    assert (code, kept in screen) == (1, True)
    refused = run(*remove)
    assert (refused.code, "refusing to remove disk sdb of host one" in refused.err) == (2, True)
    assert at_terminal(*remove[:-1], "sdz")[0] == 3
    code, _ = at_terminal(*remove, typed=b"y\n", columns=200)
    assert [disk["name"] for disk in show("one")["disks"]] == ["sda"]
    ok("hosts", "delete", "--yes", "one")


def test_r51_no_question_about_a_refused_deletion() -> None:
    """If one of them cannot be deleted, none is, and nothing is asked."""
    define(FOREIGN)
    create("mine")
    ok("networks", "create", "idle", "--bridge", "br0", "--vlan", "7")
    for words, code in (
        ("hosts delete mine foreign", 4),
        ("hosts delete mine nowhere", 3),
        ("networks delete idle vlan10", 4),
        ("tokens delete nowhere", 3),
    ):
        ended, screen = at_terminal(*words.split())
        assert (ended, "Delete" in screen) == (code, False), screen
    for kind in ("hosts", "networks", "tokens"):
        ended, screen = at_terminal(kind, "delete", "nowhere", "--if-exists")
        assert (ended, "Delete" in screen) == (0, False), screen
    call("virsh", "-q", "-c", "qemu:///system", "undefine", "foreign")
    ok("hosts", "delete", "--yes", "mine")
    ok("networks", "delete", "--yes", "idle")


@pytest.mark.parametrize("output", ["table", "json", "name"])
def test_r51_without_a_terminal_nothing_is_deleted(output: str, figures: Figures) -> None:
    create("kept")
    ok("networks", "create", "kept", "--bridge", "br0", "--vlan", "7")
    for kind, more in product(("hosts", "networks"), ([], ["--if-exists"])):
        done = run("-o", output, kind, "delete", "kept", *more)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert "refusing to delete kept without --yes" in done.err
        assert output != "json" or json.loads(done.err)["status"] == 400
        figures.share(REFUSED, 1, 1)
    for kind in ("hosts", "networks"):
        assert "kept" in ok("-o", "name", kind, "list").split()
        assert "kept" in ok(kind, "delete", "--yes", "kept")


def test_without_a_terminal_tokens_are_revoked() -> None:
    """No data is lost, and a script must not stop at a question."""
    for more in ([], ["--yes"]):
        ok("tokens", "create", "brief", "--scope", "read")
        assert "brief" in ok("tokens", "delete", "brief", *more)
    Path("/var/lib/shctl/tokens.json").unlink()


@pytest.fixture
def slow_start() -> Iterator[Path]:
    """Block every start of a guest in libvirt's hook until the test releases it."""
    hooks = Path("/etc/libvirt/hooks")
    held, go = Path("/run/hook-held"), Path("/run/hook-go")
    os.mkfifo(go)
    hooks.mkdir(exist_ok=True)
    script = f'#!/bin/sh\n[ "$2" = start ] || exit 0\ntouch {held}\nread -r line <{go}\n'
    (hooks / "qemu").write_text(script)
    (hooks / "qemu").chmod(0o755)
    yield held
    for file in (hooks / "qemu", held, go):
        file.unlink(missing_ok=True)


@pytest.fixture
def hooked(slow_start: Path) -> Iterator[Path]:
    """Restart libvirtd, which searches for hooks when it starts."""
    daemon("stop", "libvirtd")
    daemon("start", "libvirtd")
    yield slow_start
    (slow_start.parents[1] / "etc/libvirt/hooks/qemu").unlink()
    daemon("stop", "libvirtd")
    daemon("start", "libvirtd")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_create_is_rolled_back(number: int, hooked: Path) -> None:
    """The interrupt comes while libvirt starts the guest; a second one changes nothing."""
    words = "hosts create cut --memory 64 --disk 1 --network vlan10 --start"
    process = spawn(*words.split())
    eventually(hooked.exists)
    assert (VOLUMES / "cut-sda").exists()
    process.send_signal(number)
    process.send_signal(number)
    Path("/run/hook-go").write_text("on\n")
    done = finish(process)
    hooked.unlink()
    assert (done.code, done.out) == (130, "")
    assert "shctl: interrupted" in done.err
    assert run("hosts", "show", "cut").code == 3
    assert not (VOLUMES / "cut-sda").exists()


def is_catching_signals(pid: int) -> bool:
    """Return whether shctl has installed its own signal handlers in place of Python's."""
    mask = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def test_interrupt_while_waiting_for_a_stop() -> None:
    create("waits", "--start")
    pid = qemu_pid("waits")
    process = spawn("hosts", "stop", "waits")
    eventually(lambda: is_catching_signals(process.pid))
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, done.out) == (130, "")
    assert done.err.startswith("shctl: interrupted")
    assert qemu_pid("waits") == pid
    ok("hosts", "delete", "--yes", "waits")


def test_interrupt_prints_one_json_object() -> None:
    create("waits")
    process = spawn("-o", "json", "hosts", "wait", "waits", "--for", "running")
    eventually(lambda: is_catching_signals(process.pid))
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, done.out, done.err.count("\n")) == (130, "", 1)
    assert json.loads(done.err)["title"] == "Interrupted"
    ok("hosts", "delete", "--yes", "waits")


def test_nohup_is_respected() -> None:
    """A command that ignores SIGHUP continues after a hang-up."""
    code = f"trap '' HUP; exec {' '.join(SHCTL)} networks create hup --bridge br0 --vlan 5"
    process = subprocess.Popen(["bash", "-c", code], env=environment(), stdout=subprocess.PIPE)
    eventually(lambda: is_catching_signals(process.pid))
    while process.poll() is None:
        process.send_signal(signal.SIGHUP)
    assert process.communicate()[0]
    assert process.returncode == 0
    ok("networks", "delete", "--yes", "hup")
