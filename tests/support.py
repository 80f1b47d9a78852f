"""Helpers for tests of the whole command: run it, inspect its effects, wait for conditions."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import libvirt

from tests import guard

ROOT = Path(__file__).parents[1]
URI = "qemu:///system"
VOLUMES = Path("/var/lib/shctl/volumes")
LOGS = Path("/var/log/shctl/console")
SHCTL = [sys.executable, "-m", "shctl"]
HANG = 60  # seconds after which a command counts as hung


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """Return this environment without settings of shctl's and of a terminal, with `more`."""
    # pytest-xdist sets COLUMNS for its workers, which would hide the width of a test's terminal.
    terminal = ("NO_COLOR", "COLUMNS", "LINES")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SHCTL_") and k not in terminal}
    # A unit test must not reach the hypervisor of the machine that it runs on.
    harmless = {"SHCTL_CONNECT": "test:///default"} if guard.is_active() else {}
    return {**kept, **harmless, "PYTHONPATH": str(ROOT), **more}


def run(*arguments: str, **env: str) -> Done:
    """Run shctl as a process without standard input."""
    done = subprocess.run(
        [*SHCTL, *arguments], env=environment(**env), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def ok(*arguments: str) -> str:
    """Run shctl, which must succeed; return its output."""
    done = run(*arguments)
    assert done.code == 0, done
    # A remark for people.
    assert not done.err or done.err.startswith("no "), done
    return done.out


def modules_after(*arguments: str) -> set[str]:
    """Return the modules that a command has imported when it ends."""
    code = (
        "import atexit, os, sys\n"
        "atexit.register(lambda: os.write(2, repr(sorted(sys.modules)).encode()))\n"
        "from shctl.cli.main import root\n"
        "root.main(prog_name='shctl')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment(), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return set(ast.literal_eval(done.stderr))


def spawn(*arguments: str, **env: str) -> "subprocess.Popen[str]":
    """Start shctl and leave it running."""
    return subprocess.Popen(
        [*SHCTL, *arguments], env=environment(**env), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]") -> Done:
    """Wait for a process that spawn started."""
    out, err = process.communicate(timeout=HANG)
    return Done(process.returncode, out, err)


def call(*argv: str) -> str:
    """Run another command, which must succeed; return its output."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=HANG).stdout


def daemon(action: str, name: str) -> None:
    """Start, stop or kill one of the throw-away hypervisor's daemons."""
    # Not captured: the daemon inherits the pipe and would keep it open.
    subprocess.run([ROOT / "tools" / "throwaway-daemon", action, name], check=True, timeout=HANG)


def eventually(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Return the condition's first true value; fail when there is none in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.01)
    return value


@contextmanager
def connected() -> Iterator[Any]:
    """Connect to libvirt directly, for operations that shctl lacks."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    connection = libvirt.open(URI)
    try:
        yield connection
    finally:
        connection.close()


def define(xml: str) -> None:
    """Define a domain without shctl."""
    with connected() as connection:
        connection.defineXML(xml)


def create(name: str, *more: str, network: str = "vlan10") -> None:
    """Create a small host."""
    ok(*"hosts create --memory 64 --disk 1 --network".split(), network, name, *more)


def show(name: str) -> Any:
    """Return what `hosts show` prints as JSON."""
    return json.loads(ok("-o", "json", "hosts", "show", name))


def state(name: str) -> str:
    return str(run("-o", "json", "hosts", "show", name).json["state"])


def qemu_pid(name: str) -> int:
    """Return the process of a running host's QEMU."""
    return int(Path(f"/run/libvirt/qemu/{name}.pid").read_text())


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process with SIGSTOP for the block, in which it may be killed."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def port_rows() -> dict[str, dict[str, Any]]:
    """Return Open vSwitch's ports by name, with tag, trunks and vlan_mode as in its JSON."""
    columns = "--columns=name,tag,trunks,vlan_mode"
    table = json.loads(call("ovs-vsctl", "--format=json", columns, "list", "Port"))
    rows = [dict(zip(table["headings"], row, strict=True)) for row in table["data"]]
    return {row["name"]: row for row in rows}


def port_of(name: str) -> str:
    """Return the Open vSwitch port of a running host's first interface."""
    return str(run("-o", "json", "hosts", "show", name).json["interfaces"][0]["port"])


@cache
def prepare() -> None:
    """Create network vlan10 and, by creating a host, the default pool."""
    assert not guard.is_active(), guard.ADVICE
    ok("networks", "create", "vlan10", "--bridge", "br0", "--vlan", "10", "--if-not-exists")
    create("first")
    ok("hosts", "delete", "--yes", "first")


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Make a path read-only, even for root."""
    call("mount", "--bind", str(path), str(path))
    call("mount", "-o", "remount,bind,ro", str(path))
    try:
        yield
    finally:
        call("umount", "-l", str(path))
