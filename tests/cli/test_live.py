"""What commands show while they wait: a block, lines with --progress, or nothing."""

import re
from collections.abc import Iterator

import pyte
import pytest

from tests.guests import End
from tests.installations import SAY, Trees, arguments, delete
from tests.support import SHCTL, call, create, environment, finish, ok, spawn
from tests.terminal import at_terminal
from tests.terminal import running as terminal_with

pytestmark = pytest.mark.usefixtures("vlan10")


@pytest.fixture
def running() -> Iterator[str]:
    create("live", "--start")
    yield "live"
    delete("live")


def left_on(screen: str) -> list[str]:
    """Return the lines that a terminal still shows."""
    terminal = pyte.Screen(200, 60)
    pyte.Stream(terminal).feed(screen)
    return [line.rstrip() for line in terminal.display if line.strip()]


def test_block_shows_an_installation_and_is_erased(trees: Trees) -> None:
    location = trees.of(End.RESET, after=2)
    code, screen = at_terminal(*arguments("live", location, "--wait"), columns=200)
    delete("live")
    assert code == 0
    assert re.search(r"live: installing, \d+s of 2h 0m", screen)
    assert re.search(f"console: .*{SAY}", screen)
    assert re.search(r"vmlinuz: [\d.]+ of [\d.]+ MB", screen)
    shown = left_on(screen)
    assert shown[0].split() == ["NAME", "live"]  # the result alone
    assert not [line for line in shown if "of 2h" in line or "vmlinuz:" in line]


def test_block_is_as_wide_as_the_terminal(running: str) -> None:
    code, screen = at_terminal(
        "hosts", "wait", running, "--for", "stopped", "--timeout", "2", columns=20
    )
    assert code == 5
    frames = [line for part in screen.split("\r\x1b[")[1:-1] for line in part.split("\x1b[K")]
    assert frames
    assert all(len(line.split("A")[-1].strip()) < 20 for line in frames)


def test_several_hosts_and_stop(running: str) -> None:
    create("live2")
    code, screen = at_terminal("hosts", "stop", running, "live2", "--timeout", "2", columns=200)
    delete("live2")
    assert code == 5
    assert "live: running" in screen
    assert "live2: shut off" in screen
    assert len([line for line in left_on(screen) if "is still running" in line]) == 1


def test_ctrl_c_erases_it(running: str) -> None:
    argv = [*SHCTL, "hosts", "wait", running, "--for", "stopped"]
    with terminal_with(argv, environment(TERM="xterm", COLUMNS="200")) as terminal:
        terminal.type("", "live: running, ")
        terminal.type("\x03", "waits again")
        assert left_on(terminal.shown)[-1].startswith("shctl: interrupted; nothing was changed")


def test_progress_in_a_pipe(trees: Trees) -> None:
    location = trees.of(End.RESET, after=1)
    process = spawn(*arguments("live", location, "--wait", "--progress"))
    done = finish(process)
    delete("live")
    assert done.code == 0
    lines = done.err.splitlines()
    assert any(re.match(r"vmlinuz: [\d.]+ of [\d.]+ MB$", line) for line in lines)
    assert any(line.startswith("live: installing, ") for line in lines)
    assert "\x1b" not in done.err
    assert len(lines) < 10


def test_nothing_without_a_terminal(running: str) -> None:
    call("virsh", "destroy", running)
    process = spawn("hosts", "wait", running, "--for", "stopped")
    assert finish(process).err == ""
    ok("hosts", "wait", running, "--for", "stopped")


def test_a_dumb_terminal_shows_nothing(running: str) -> None:
    _, screen = at_terminal(
        "hosts", "wait", running, "--for", "stopped", "--timeout", "1", TERM="dumb"
    )
    assert "of 1s" not in screen
