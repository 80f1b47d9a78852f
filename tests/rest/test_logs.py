"""R45: an unread log loses lines and never blocks the server; all lines are JSON."""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shctl.rest.logs import LogWriter, RepeatFilter
from tests.rest_server import Client, Running, serving
from tests.scoreboard import Figures, rounds
from tests.support import HANG, SHCTL, call, environment, eventually, prepare

LONG = "a" * 15_000  # a path of many bytes, so that few requests fill a queue


@dataclass
class Piped:
    """A server whose standard error is a pipe that is not read yet."""

    process: "subprocess.Popen[bytes]"
    client: Client
    reading: int

    def read_audit(self, number: int) -> list[dict[str, Any]]:
        """Read the pipe until it has `number` audit lines, dropped ones included."""
        rest, found = b"", 0
        parsed: list[dict[str, Any]] = []
        while found < number:
            assert select.select([self.reading], [], [], HANG)[0], "lines are missing"
            *whole, rest = (rest + os.read(self.reading, 2**16)).split(b"\n")
            new = [json.loads(text) for text in whole]
            found += sum(x["log"] == "audit" or x.get("dropped_audit", 0) for x in new)
            parsed += new
        return parsed


@contextmanager
def piped(directory: Path) -> Iterator[Piped]:
    prepare()
    path = directory / "shctl.sock"
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [*SHCTL, "serve", "--socket", str(path)], env=environment(), stdin=subprocess.DEVNULL,
        stderr=writing,
    )  # fmt: skip
    os.close(writing)
    client = Client(path)

    def answers() -> bool:
        with suppress(OSError):
            return client.ask("GET", "/").status == 200
        return False

    try:
        eventually(answers)
        yield Piped(process, client, reading)
    finally:
        process.terminate()
        process.wait(HANG)
        with suppress(OSError):
            os.close(reading)


@pytest.mark.hypervisor
def test_r45_unread_log(tmp_path: Path, figures: Figures) -> None:
    """All requests succeed; later the log has every change, and the number of dropped lines."""
    many, changes = rounds(3000, 320), 20
    with piped(tmp_path) as running:
        for _ in range(many):
            assert running.client.ask("GET", f"/{LONG}").status == 404
        for _ in range(changes):
            assert running.client.ask("PUT", "/hosts/nobody/start").status == 404
        assert running.client.ask("GET", "/healthz").status == 200
        lines = running.read_audit(changes)
    dropped = sum(line.get("dropped", 0) for line in lines)
    figures.count("lines dropped", dropped)
    assert dropped > 0
    assert sum(line.get("dropped_audit", 0) for line in lines) == 0
    assert sum(line["log"] == "audit" for line in lines) == changes


@pytest.mark.hypervisor
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_r45_signals_while_the_log_is_blocked(
    tmp_path: Path, number: signal.Signals, figures: Figures
) -> None:
    with piped(tmp_path) as running:
        for _ in range(20):
            running.client.ask("GET", f"/{LONG}")
        running.process.send_signal(signal.SIGHUP)
        assert running.client.ask("GET", "/").status == 200
        running.process.send_signal(number)
        with figures.within(10, "exit"):
            assert running.process.wait(HANG) == 0
        assert not (tmp_path / "shctl.sock").exists()


@pytest.mark.hypervisor
def test_r45_log_whose_reader_has_exited(tmp_path: Path) -> None:
    with piped(tmp_path) as running:
        os.close(running.reading)
        for _ in range(5):
            assert running.client.ask("GET", f"/{LONG}").status == 404
        running.process.terminate()
        assert running.process.wait(HANG) == 0


def read_all(reading: int) -> list[str]:
    with os.fdopen(reading) as stream:
        return stream.read().splitlines()


def test_r45_audit_lines_are_dropped_last() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    writer = LogWriter(writing, limit=1000)
    writer.put(json.dumps("x" * 8000), audit=False)  # too long: dropped
    for _ in range(2):  # the first is in the pipe as a whole, the second blocks the thread
        writer.put(json.dumps("x" * 900), audit=False)
    for _ in range(8):
        writer.put(json.dumps("y" * 900), audit=False)
    for number in range(20):
        writer.put(json.dumps(f"audit {number:04}"), audit=True)
    thread_done = threading.Event()
    texts: list[str] = []

    def read() -> None:
        texts.extend(read_all(reading))
        thread_done.set()

    threading.Thread(target=read).start()
    assert writer.flush(HANG)
    os.close(writing)
    assert thread_done.wait(HANG)
    parsed = [json.loads(text) for text in texts]
    assert [x for x in parsed if str(x).startswith("audit")] == [f"audit {n:04}" for n in range(20)]
    notices = [x for x in parsed if isinstance(x, dict)]
    assert sum(x["dropped"] for x in notices) + len(parsed) - len(notices) == 31
    assert sum(x["dropped_audit"] for x in notices) == 0


def test_r45_audit_lines_that_do_not_fit_are_counted() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    writer = LogWriter(writing, limit=1000)
    for _ in range(100):
        writer.put(json.dumps("a" * 400), audit=True)
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.extend(read_all(reading)))
    thread.start()
    assert writer.flush(HANG)
    os.close(writing)
    thread.join(HANG)
    notices = [x for x in map(json.loads, texts) if isinstance(x, dict)]
    lost = sum(x["dropped_audit"] for x in notices)
    assert lost == sum(x["dropped"] for x in notices) > 0
    assert lost + len(texts) - len(notices) == 100


def test_non_blocking_descriptor() -> None:
    """Another process may have set O_NONBLOCK on the open file description."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    writer = LogWriter(writing)
    for number in range(1000):
        writer.put(f"{number:0500}", audit=False)
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.extend(read_all(reading)))
    thread.start()
    assert writer.flush(HANG)
    os.close(writing)
    thread.join(HANG)
    assert [int(text) for text in texts] == list(range(1000))


NOISE = """
import logging, sys, threading, warnings
from shctl.rest import logs
logs.start()
warnings.warn("a warning\\nof two lines")
print("printed", "\\n", "and more", file=sys.stderr)
logging.getLogger("any").error("with a line break\\n and %s", "more")
def fail():
    raise RuntimeError("in a thread")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
class Bad:
    def __del__(self):
        raise RuntimeError("ignored")
Bad()
logging.getLogger("any").error("%d", "no number")
logging.shutdown()
raise RuntimeError("at the end")
"""


def test_everything_on_stderr_is_json() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", NOISE], env=environment(), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    text = json.dumps(lines)
    for part in ("a warning", "printed", "and more", "line break", "in a thread", "ignored"):
        assert part in text, part
    assert "a line of any cannot be written" in text
    assert {"time", "level", "log"} <= set.intersection(*(set(line) for line in lines))


def test_a_repeated_failure_is_logged_once() -> None:
    import logging

    repeats = RepeatFilter(interval=HANG)

    def passes(text: str) -> bool:
        return repeats.filter(logging.LogRecord("x", logging.ERROR, "", 0, text, (), None))

    assert [passes("a"), passes("a"), passes("b"), passes("a")] == [True, False, True, False]
    assert all(passes(str(number)) for number in range(2000))


def debug_lines(running: Running, request: str) -> dict[str, list[str]]:
    """Return the debug lines of a request, by log."""
    found: dict[str, list[str]] = {}
    for line in running.lines():
        if (line.get("request"), line["level"]) == (request, "debug"):
            found.setdefault(line["log"], []).append(line["message"])
    return found


def has_run(running: Running, request: str) -> bool:
    """Return whether the last debug line of a request is written."""
    return "shctl.rest.runner" in debug_lines(running, request)


@pytest.mark.hypervisor
@pytest.mark.parametrize("env", [{}, {"SHCTL_DEBUG": "1"}])
def test_debug_lines_have_the_id_of_their_request(env: dict[str, str], tmp_path: Path) -> None:
    prepare()
    command = SHCTL if env else [*SHCTL, "--debug"]
    with serving(tmp_path, command=command, **env) as running:
        for method, body in (("POST", {"bridge": "br0", "vlan": 21}), ("DELETE", None)):
            reply = running.client.ask(method, "/networks/q1", body)
            request = reply.headers["x-request-id"]
            eventually(partial(has_run, running, request))
            assert "shctl.hypervisor.call_log" in debug_lines(running, request)
            assert body is None or "shctl.networks.openvswitch" in debug_lines(running, request)


@pytest.mark.hypervisor
def test_debug_lines_have_no_secrets(tmp_path: Path, tree: str) -> None:
    prepare()
    password = "hunter2"
    body = {
        "memory": 64, "disks": [1], "networks": ["vlan10"], "install": True,
        "location": tree.replace("://", f"://user:{password}@"), "cmdline": f"rootpw={password}",
        "inject": {"a.cfg": password},
    }  # fmt: skip
    with serving(tmp_path, SHCTL_DEBUG="1") as running:
        reply = running.client.ask("POST", "/hosts/web1", body)
        running.client.ok("DELETE", "/hosts/web1?if_exists=true")
        running.stop()
        logs = debug_lines(running, reply.headers["x-request-id"])
        assert reply.status == 201, reply
        assert {"shctl.install.http.client", "shctl.hypervisor.call_log"} <= set(logs)
        assert password not in running.log.read_text()


@pytest.mark.hypervisor
def test_without_debug_no_call_is_logged(tmp_path: Path) -> None:
    prepare()
    with serving(tmp_path) as running:
        running.client.ok("POST", "/networks/q1", {"bridge": "br0", "vlan": 21})
        running.client.ok("DELETE", "/networks/q1")
        running.stop()
        assert len(running.lines("request")) == 2
        assert not [line for line in running.lines() if line["log"].startswith("shctl")]


def test_documented_command_reads_a_journal_with_other_lines(tmp_path: Path) -> None:
    """systemd writes its own lines into a unit's journal."""
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    (line,) = [text for text in page.splitlines() if text.startswith("journalctl ")]
    journal, _, rest = line.partition(" | ")
    assert journal == "journalctl -u shctl.service -o cat"
    audit = '{"time": "t", "level": "info", "log": "audit", "who": "uid 0"}'
    (tmp_path / "journal").write_text(
        "Starting shctl.service - shctl's REST server...\n"
        f'{{"log": "request"}}\n{audit}\n[1, 2]\n"text"\n5\n{{"half": \n\n'
        "shctl.service: Deactivated successfully.\n"
    )
    found = call("sh", "-c", f"{rest} <{tmp_path}/journal").splitlines()
    assert [json.loads(text) for text in found] == [json.loads(audit)]


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(str(tmp_path / "notify"))
        opened.settimeout(HANG)
        yield opened


def test_heartbeats_for_the_watchdog(channel: socket.socket, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*SHCTL, "serve", "--socket", str(tmp_path / "shctl.sock")],
        env=environment(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000"),
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert channel.recv(100) == b"READY=1"
    assert [channel.recv(100) for _ in range(5)] == [b"WATCHDOG=1"] * 5
    process.terminate()
    while channel.recv(100) == b"WATCHDOG=1":
        pass
    assert process.wait(HANG) == 0


def test_no_heartbeats_for_another_process(channel: socket.socket, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*SHCTL, "serve", "--socket", str(tmp_path / "shctl.sock")],
        env=environment(
            NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="1000", WATCHDOG_PID="1"
        ),
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert channel.recv(100) == b"READY=1"
    process.terminate()
    assert channel.recv(100) == b"STOPPING=1"
    assert process.wait(HANG) == 0
