"""The serial console: its log across boots and rotations, and interactive use."""

import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import zlib
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shctl.common import paths
from shctl.hosts import console_log, log_view, log_writers
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definition
from tests.guests import End, boot_sector
from tests.installations import (
    FROM_DISK,
    SAY,
    Trees,
    arguments,
    boots_from_disk,
    delete,
    log_of,
    one_line,
)
from tests.support import (
    HANG,
    LOGS,
    SHCTL,
    URI,
    VOLUMES,
    Done,
    create,
    daemon,
    environment,
    eventually,
    finish,
    ok,
    run,
    spawn,
)

pytestmark = pytest.mark.usefixtures("vlan10")

HINT = "Ctrl-] leaves the console.\n"


# --- The log ------------------------------------------------------------------------------------


def test_log_contains_and_follows_all_boots(trees: Trees) -> None:
    ok(*arguments("log", trees.of(End.RESET, after=0.5)))
    follower = spawn("hosts", "log", "log", "-f", "--raw")
    ok("hosts", "wait", "log", "--for", "installed")
    eventually(lambda: boots_from_disk("log"))
    assert ok("hosts", "log", "log", "--raw") == log_of("log")
    ok("hosts", "stop", "log", "--force")
    ok("hosts", "start", "log")
    eventually(lambda: boots_from_disk("log") == 2)
    written = log_of("log")
    delete("log")
    assert finish(follower) == Done(0, written, "")
    assert [written.count(text) for text in (SAY, FROM_DISK)] == [1, 2]


def test_follow_has_no_json_output() -> None:
    done = run("hosts", "log", "nowhere", "-f", SHCTL_OUTPUT="json")
    problem = json.loads(done.err)
    assert (done.code, done.out, problem["status"]) == (2, "", 400)
    assert problem["detail"] == "a log cannot be followed with -o json; use -o table"


def test_log_follows_through_a_restart_of_libvirtd() -> None:
    create("stays", "--no-start")
    follower = spawn("hosts", "log", "stays", "-f")
    (LOGS / "stays.log").write_text("before\n")
    assert follower.stdout
    assert follower.stdout.readline() == "before\n"
    daemon("kill", "libvirtd")
    daemon("start", "libvirtd")
    with (LOGS / "stays.log").open("a") as log:
        log.write("after\n")
    assert follower.stdout.readline() == "after\n"
    delete("stays")
    assert finish(follower).code == 0


def test_log_of_a_host_that_never_ran_is_empty() -> None:
    create("silent")
    assert ok("hosts", "log", "silent") == ""
    delete("silent")


class Written:
    """A host's log as virtlogd writes it; `rotate` renames .log to .log.0, that to .log.1, ..."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts = 0

    def write(self, text: str) -> None:
        with self.path.open("a") as log:
            log.write(text)

    def rotate(self) -> None:
        for number in range(self.parts, 0, -1):
            self.path.with_suffix(f".log.{number - 1}").rename(
                self.path.with_suffix(f".log.{number}")
            )
        self.path.rename(self.path.with_suffix(".log.0"))
        self.parts += 1


@pytest.fixture
def written() -> Iterator[Written]:
    create("rotated")
    yield Written(LOGS / "rotated.log")
    delete("rotated")
    assert not list(LOGS.glob("rotated*"))


def test_log_reads_rotated_parts_in_order(written: Written) -> None:
    for number in range(12):
        written.write(f"{number}\n")
        written.rotate()
    written.write("last\n")
    assert ok("hosts", "log", "rotated").split() == [*map(str, range(12)), "last"]


def test_log_loses_and_repeats_nothing_on_rotation(written: Written) -> None:
    """Text written between a read and the rotation is in the part that was renamed."""
    written.write("a1\n")
    pieces = iter(console_log.follow_log(Hypervisor(URI), "rotated", log_view.View()))
    assert next(pieces) == "a1\n"
    written.write("a2\n")
    written.rotate()
    written.write("b1\n")
    written.rotate()
    written.write("c1\n")
    assert [next(pieces) for _ in range(3)] == ["a2\n", "b1\n", "c1\n"]


def test_log_is_read_from_the_start_after_truncation(written: Written) -> None:
    written.write("long before\n")
    pieces = iter(console_log.follow_log(Hypervisor(URI), "rotated", log_view.View()))
    assert next(pieces) == "long before\n"
    os.truncate(written.path, 0)
    written.write("new\n")
    assert next(pieces) == "new\n"


def test_log_of_a_host_with_a_longer_name_is_separate() -> None:
    create("web")
    create("web.log")
    for name, text in ("web.log.0", "mine\n"), ("web.log.log", "b\n"), ("web.log.log.0", "a\n"):
        (LOGS / name).write_text(text)
    assert ok("hosts", "log", "web") == "mine\n"
    delete("web")
    assert ok("hosts", "log", "web.log") == "a\nb\n"
    delete("web.log")
    assert not list(LOGS.glob("web*"))


@pytest.mark.parametrize("name", ["a[0]", "a*", "a?"])
def test_log_of_a_host_whose_name_is_a_pattern(name: str, tmp_path: Path) -> None:
    """An adopted host may have such a name, and its log anywhere."""
    path = tmp_path / f"{name}.log"
    for file in (path, tmp_path / f"{name}.log.0", tmp_path / "a0.log.1", tmp_path / "abc.log.2"):
        file.touch()
    assert console_log._parts(path) == [tmp_path / f"{name}.log.0", path]


def test_log_replaces_invalid_utf_8(written: Written) -> None:
    written.path.write_bytes(b"a\xff\xc3")
    assert ok("hosts", "log", "rotated") == "a��"


# --- Interactive console ------------------------------------------------------------------------

# Echo everything received on the serial port.
ECHO = bytes.fromhex(
    "ba fd 03 ec a8 01 74 f8"  # again: mov dx, 0x3fd; in al, dx; test al, 1; jz again
    "ba f8 03 ec ee eb f1"  # mov dx, 0x3f8; in al, dx; out dx, al; jmp again
)


class Terminal:
    """shctl at its own terminal."""

    def __init__(self, *arguments: str) -> None:
        self.person, terminal = pty.openpty()
        self.name = os.ttyname(terminal)
        self.before = termios.tcgetattr(terminal)
        self.process = subprocess.Popen(
            [*SHCTL, *arguments], env=environment(TERM="xterm"), stdin=terminal, stdout=terminal,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.terminal = terminal
        self.screen = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while piece := os.read(self.person, 4096):
                self.screen += piece
        except OSError:
            return

    def type(self, keys: bytes) -> None:
        os.write(self.person, keys)

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.terminal)

    def is_raw(self) -> bool:
        return not self.settings()[3] & (termios.ICANON | termios.ECHO)

    def end(self) -> tuple[int, str]:
        assert self.process.stderr
        with self.process.stderr as stream:
            error = stream.read().decode()
        code = self.process.wait(HANG)
        assert self.settings() == self.before
        os.close(self.terminal)
        os.close(self.person)
        return code, error


@pytest.fixture
def echoing() -> Iterator[str]:
    """Run a host whose guest echoes its input."""
    create("echo")
    sector = boot_sector(FROM_DISK)
    code = sector[: sector.rindex(End.HALT.value)] + ECHO
    with (VOLUMES / "echo-sda").open("r+b") as disk:
        disk.write(code.ljust(510, b"\0") + b"\x55\xaa")
    ok("hosts", "start", "echo")
    eventually(lambda: FROM_DISK in log_of("echo"))
    yield "echo"
    delete("echo")


def test_console_sends_input_and_detaches(echoing: str) -> None:
    at = Terminal("hosts", "console", echoing)
    eventually(at.is_raw)
    at.type(b"hello\x03there")
    # Ctrl-C goes to the guest.
    eventually(lambda: b"hello\x03there" in at.screen)
    second = run("hosts", "console", echoing)
    assert second.code == 2
    at.type(b"\x1d")
    assert at.end() == (0, HINT)
    assert "hello" in log_of(echoing)


def test_console_has_one_user_at_a_time(echoing: str) -> None:
    at = Terminal("hosts", "console", echoing)
    eventually(at.is_raw)
    at.type(b"x")
    eventually(lambda: b"x" in at.screen)
    code, error = Terminal("hosts", "console", echoing).end()
    assert code == 4
    assert error.count("\n") == 1
    at.type(b"\x1d")
    assert at.end()[0] == 0


def test_console_ends_with_its_host(echoing: str) -> None:
    at = Terminal("hosts", "console", echoing)
    eventually(at.is_raw)
    ok("hosts", "stop", echoing, "--force")
    assert at.end() == (0, HINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_killed_console_restores_the_terminal(number: int, echoing: str) -> None:
    at = Terminal("hosts", "console", echoing)
    eventually(at.is_raw)
    at.process.send_signal(number)
    assert at.end()[0] == 130


def test_console_needs_a_terminal_and_a_running_host() -> None:
    create("off")
    done = run("hosts", "console", "off")
    assert (done.code, one_line(done)) == (2, True)
    code, error = Terminal("hosts", "console", "off").end()
    assert code == 4
    assert error.count("\n") == 1
    delete("off")


# --- The screen ---------------------------------------------------------------------------------


def test_screenshot_is_a_png(echoing: str, tmp_path: Path) -> None:
    ok("hosts", "screenshot", echoing, "-w", str(tmp_path / "screen.png"))
    chunks = dict(chunks_of((tmp_path / "screen.png").read_bytes()))
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (width >= 320, height >= 200) == (True, True)
    assert rest == [8, 2, 0, 0, 0]
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + 3 * width)


def test_screenshot_on_standard_output(echoing: str, tmp_path: Path) -> None:
    """No file is written, and nothing to a terminal."""
    line = [*SHCTL, "hosts", "screenshot", echoing, "-w", "-"]
    done = subprocess.run(line, env=environment(), cwd=tmp_path, capture_output=True, check=True)
    assert b"IHDR" in dict(chunks_of(done.stdout))
    assert list(tmp_path.iterdir()) == []
    code, screen = Terminal(*line[len(SHCTL) :]).end()
    assert code == 2
    assert "shctl: refusing to write binary data to a terminal" in screen


def test_screenshot_into_a_full_device_is_an_error(echoing: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*SHCTL, "hosts", "screenshot", echoing, "-w", "-"], env=environment(), stdout=full,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "shctl: cannot write to standard output: No space left on device\n"


def chunks_of(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG, each with its checksum checked."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at = 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", png, at + 8 + length)
        assert checksum == zlib.crc32(kind + data)
        yield kind, data
        at += 12 + length
    assert kind == b"IEND"


def test_screenshot_errors(echoing: str, tmp_path: Path) -> None:
    done = run("hosts", "screenshot", echoing, "-w", str(tmp_path / "no" / "screen.png"))
    assert (done.code, one_line(done)) == (2, True)
    ok("hosts", "stop", echoing, "--force")
    done = run("hosts", "screenshot", echoing, "-w", str(tmp_path / "screen.png"))
    assert (done.code, one_line(done)) == (4, True)
    assert f"start it with 'shctl hosts start {echoing}'" in done.err
    assert not (tmp_path / "screen.png").exists()


@pytest.mark.parametrize(
    ("running", "stored", "may"),
    [
        (b"<log file='/var/log/shctl/console/a.log'/>", b"", True),
        (b"", b"<log file='/var/log/shctl/console/a.log'/>", True),
        (b"<log file='/var/log/shctl/console/b.log'/>", b"", False),
        (b"<name>b</name>", None, False),
        (None, b"", True),
        (b" " * (4 * 2**20 + 1), b"", True),
    ],
    ids=["runs so", "stored so", "other log", "transient", "not there", "too long"],
)
def test_log_of_a_hung_host_is_read_from_libvirts_files(
    running: bytes | None,
    stored: bytes | None,
    may: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, content in (("running_hosts", running), ("stored_hosts", stored)):
        directory = tmp_path / name
        directory.mkdir()
        monkeypatch.setattr(paths, name, lambda path=directory: path)
        if content is not None:
            (directory / "b.xml").write_bytes(content)
    host: Any = SimpleNamespace(name="b")
    definition = Definition(host, hung=True)
    assert log_writers.may_log_to(Path("/var/log/shctl/console/a.log"), definition) is may


def test_a_log_is_closed_after_a_read_in_another_thread() -> None:
    """A generator that runs cannot be closed; a client may leave at any moment."""
    begun, may_go_on = threading.Event(), threading.Event()

    def pieces() -> Generator[str | bytes, None, None]:
        begun.set()
        may_go_on.wait(HANG)
        yield "one"
        yield ""

    stream = console_log.LogStream(pieces())
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(stream.take)
        begun.wait(HANG)
        closing = pool.submit(stream.close)
        may_go_on.set()
        assert reading.result() == ["one"]
        closing.result()
    assert stream.take() is None
