"""What commands show while they wait: a block, lines with --progress, or nothing."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import click
import pyte
import pytest

from shctl.cli import live
from shctl.common.observation import Observation
from tests.guests import End, boot_sector, kernel
from tests.install.treeserver import INITRD, Handler
from tests.installations import FROM_DISK, INITRD_PATH, Trees, arguments, delete
from tests.support import HANG, SHCTL, call, create, environment, finish, ok, spawn
from tests.terminal import at_terminal
from tests.terminal import running as terminal_with

STEP = "Configuring apt"  # as debian-installer says
WEB1 = Observation("web1", "running")


@pytest.fixture
def running(vlan10: None) -> Iterator[str]:
    create("live", "--start")
    yield "live"
    delete("live")


def installer(trees: Trees, initrd: bytes = INITRD) -> str:
    # SeaBIOS does not end its last line.
    image = kernel(f"\r\n{STEP}", End.RESET, after=2, installs=boot_sector(FROM_DISK))
    return trees.add("steps", image, initrd)


def left_on(screen: str) -> list[str]:
    """Return the lines that a terminal still shows."""
    terminal = pyte.Screen(200, 60)
    pyte.Stream(terminal).feed(screen)
    return [line.rstrip() for line in terminal.display if line.strip()]


@pytest.mark.usefixtures("vlan10")
def test_block_shows_an_installation_and_is_erased(trees: Trees) -> None:
    initrd = INITRD.ljust(2 * 10**6, b"\0")
    location = installer(trees, initrd)
    goes_on = threading.Event()

    def halfway(handler: Handler) -> None:
        if "Range" in handler.headers:  # the probe
            handler.answer(206, initrd[:1000])
            return
        handler.answer(200, initrd[: 10**6], length=len(initrd))
        goes_on.wait(HANG)
        handler.wfile.write(initrd[10**6 :])

    trees.server.modes[f"/steps/{INITRD_PATH}"] = halfway
    argv = [*SHCTL, "-o", "name", *arguments("live", location, "--wait")]
    with terminal_with(argv, environment(TERM="xterm", COLUMNS="200")) as terminal:
        terminal.type("", "live: creating")
        terminal.type("", " of 2.0 MB, ")
        goes_on.set()
        terminal.type("", "live: installing\x1b[K\r\n  ")
        terminal.type("", f"installer says: {STEP}")
        # The result, in place of the block.
        terminal.type("", "A\x1b[Jlive\r\n")
    delete("live")


def test_block_is_as_wide_as_the_terminal(running: str) -> None:
    code, screen = at_terminal(
        "hosts", "wait", running, "--for", "stopped", "--timeout", "1", columns=20
    )
    assert code == 5
    block, _, after = screen.rpartition("\x1b[J")
    frames = [line for line in re.split(r"\x1b\[\d*[AJK]|\r\n|\r", block) if line]
    assert "  0s elapsed, dead~" in frames
    assert all(len(line) < 20 for line in frames)
    assert after.startswith("shctl: host 'live' is not stopped after 1 s")


def test_several_hosts_and_stop(running: str) -> None:
    create("live2")
    code, screen = at_terminal("hosts", "stop", running, "live2", "--timeout", "1", columns=200)
    delete("live2")
    assert code == 5
    assert "2 hosts, shutting down" in screen
    assert re.search("live +running", screen)
    assert re.search("live2 +shut off", screen)
    assert len([line for line in left_on(screen) if "is still running" in line]) == 1


def test_ctrl_c_erases_it(running: str) -> None:
    argv = [*SHCTL, "hosts", "wait", running, "--for", "stopped"]
    with terminal_with(argv, environment(TERM="xterm", COLUMNS="200")) as terminal:
        terminal.type("", "live: running, waiting for stopped")
        terminal.type("\x03", "waits again")
        assert left_on(terminal.shown)[-1].startswith("shctl: interrupted; nothing was changed")


@pytest.mark.usefixtures("vlan10")
def test_progress_in_a_pipe(trees: Trees) -> None:
    process = spawn(*arguments("live", installer(trees), "--wait", "--progress"))
    done = finish(process)
    delete("live")
    assert done.code == 0
    lines = done.err.splitlines()
    assert any(re.match(r"vmlinuz: [\d.]+ of [\d.]+ MB$", line) for line in lines)
    assert any(line.startswith("live: installing, ") for line in lines)
    assert any(f"installer says: {STEP}, " in line for line in lines), lines
    assert "\x1b" not in done.err, lines
    assert len(lines) < 10


def test_heartbeat(running: str) -> None:
    code = (
        "from shctl.cli import live, main\n" "live.HEARTBEAT = live.INTERVAL = 0.2\n" "main.main()"
    )
    words = ["hosts", "wait", running, "--for", "stopped", "--progress"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], env=environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr
        assert process.stdout
        lines = [process.stderr.readline() for _ in range(3)]
        call("virsh", "destroy", running)
        assert process.stdout.read().split()[:2] == ["NAME", running]
    assert all(
        line.startswith("live: running, waiting for stopped, ") and " elapsed" in line
        for line in lines
    )
    assert process.returncode == 0


@pytest.mark.parametrize(("term", "words"), [("dumb", []), ("xterm", ["--verbose"])])
def test_terminals_without_a_block(running: str, term: str, words: list[str]) -> None:
    _, screen = at_terminal(
        *words, "hosts", "wait", running, "--for", "stopped", "--timeout", "1", TERM=term
    )
    assert "elapsed" not in screen


def test_nothing_without_a_terminal(running: str) -> None:
    process = spawn("hosts", "wait", running, "--for", "stopped", "--timeout", "1")
    assert finish(process).err.startswith(
        "shctl: host 'live' is not stopped after 1 s; it is running"
    )
    call("virsh", "destroy", running)
    ok("hosts", "wait", running, "--for", "stopped")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> "list[str]":
    """Return the lines that are shown, as soon as possible."""
    lines: list[str] = []
    monkeypatch.setattr(live, "_DELAY", 0)
    monkeypatch.setattr(live, "INTERVAL", 0.01)
    monkeypatch.setattr(click, "echo", lambda text, **_: lines.append(text))
    return lines


def wait_for(lines: list[str], text: str) -> None:
    end = threading.Event()
    for _ in range(2000):
        if any(text in line for line in lines):
            return
        end.wait(0.01)
    pytest.fail(f"{text!r} is not in {lines!r}")


def test_a_daemon_that_hangs_stops_neither_the_wait_nor_the_time(
    shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_STALE", 0.2)
    hangs = threading.Event()
    answers = [[WEB1]]

    def observe() -> list[Observation]:
        if not answers:
            hangs.wait(HANG)
            return []
        return answers.pop()

    with live.shown(observe, None, in_place=False, lines=True):
        wait_for(shown, "web1: running, ")
        wait_for(shown, "web1: no answer from libvirt, ")
    # Said once, and not each time.
    assert len(shown) == 2
    hangs.set()


def test_control_characters_in_a_log(shown: list[str]) -> None:
    host = Observation("web\x1b1", "running")
    with live.shown(lambda: [host], None, in_place=False, lines=True) as report:
        report("\x1b[2J", 1, 1)
        wait_for(shown, "[2J")
        wait_for(shown, "running")
    assert len(shown) == 2
    assert all(line.isprintable() for line in shown)


def test_a_failure_to_observe_or_to_show_is_none_of_the_wait(
    shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def fail(text: str = "", **_: object) -> list[Observation]:
        calls.append(text)
        raise OSError(text)

    with live.shown(fail, None, in_place=False, lines=True):
        wait_for(calls, "")
    assert shown == []
    monkeypatch.setattr(click, "echo", fail)
    with live.shown(lambda: [WEB1], None, in_place=False, lines=True):
        wait_for(calls, "web1")
