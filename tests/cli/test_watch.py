"""`hosts list --watch`: in place on a terminal, one list after the other in a pipe."""

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time

import pytest

from tests.support import HANG, SHCTL, call, create, daemon, environment, ok

pytestmark = pytest.mark.usefixtures("vlan10")
WATCH = [*SHCTL, "hosts", "list", "w*", "--watch"]


@pytest.fixture
def watched() -> None:
    create("w1")


def delete(*names: str) -> None:
    ok("hosts", "delete", "--yes", *names)


def test_pipe(watched: None) -> None:
    argv = [*WATCH[:3], "-o", "json", *WATCH[3:]]
    with subprocess.Popen(
        argv, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert [row["state"] for row in json.loads(process.stdout.readline())] == ["shut off"]
        daemon("stop", "libvirtd")
        daemon("start", "libvirtd")
        # By another program.
        call("virsh", "start", "w1")
        assert [row["state"] for row in json.loads(process.stdout.readline())] == ["running"]
        delete("w1")
        while rows := json.loads(process.stdout.readline()):
            assert rows[0]["name"] == "w1"
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG) == 0


class Screen:
    """A terminal of five lines with `hosts list --watch`."""

    def __init__(self) -> None:
        self.person, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (5, 60))
        self.process = subprocess.Popen(
            WATCH, env=environment(TERM="xterm"), stdin=terminal, stdout=terminal,
            stderr=terminal, start_new_session=True,
        )  # fmt: skip
        os.close(terminal)
        self.shown = ""

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + HANG
        while text not in self.shown:
            assert time.monotonic() < end, (text, self.shown)
            if select.select([self.person], [], [], 0.1)[0]:
                self.shown += os.read(self.person, 4096).decode()

    def resize(self, lines: int) -> None:
        termios.tcsetwinsize(self.person, (lines, 60))
        self.process.send_signal(signal.SIGWINCH)
        self.shown = ""


def test_terminal(watched: None) -> None:
    screen = Screen()
    screen.wait_for("\x1b[?1049h")  # the alternate screen
    screen.wait_for("shut off")
    for name in ("w2", "w3", "w4"):
        create(name)
    screen.wait_for("... and 2 more")
    screen.resize(20)
    screen.wait_for("w4")
    screen.process.send_signal(signal.SIGINT)
    screen.wait_for("\x1b[?1049l")
    assert screen.process.wait(HANG) == 0
    os.close(screen.person)
    delete("w1", "w2", "w3", "w4")
