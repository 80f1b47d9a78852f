"""A system in a directory, booted: its own systemd is PID 1 and its services run."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.package.roots import HERE, PATIENCE, Root

BOOT = 120  # seconds
SETTINGS = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "TERM": "dumb",
    "LC_ALL": "C.UTF-8",
}


@dataclass(frozen=True)
class Machine:
    """A running system; `leader` is the PID of its init in this machine's PID namespace."""

    leader: int

    def attempt(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the system, as root."""
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd=/")
        env = (f"{name}={value}" for name, value in SETTINGS.items())
        return subprocess.run(
            ["nsenter", f"--target={self.leader}", *spaces, "env", "-i", *env, *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    def run(self, *command: str) -> str:
        """Run a command in the system, which must succeed; return its output."""
        done = self.attempt(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def property(self, unit: str, name: str) -> str:
        """Return a property of a systemd unit."""
        return self.run("systemctl", "show", unit, "--value", f"--property={name}").strip()

    def request(self, path: str, *options: str, user: str = "root") -> tuple[int, str]:
        """Send the server a request as a user; return curl's exit status and the answer."""
        curl = ("curl", "-s", "--max-time", "30", "--unix-socket", "/run/shctl/shctl.sock")
        as_user = ("runuser", "-u", user, "--", *curl, *options, f"http://localhost{path}")
        done = self.attempt(*as_user)
        return done.returncode, done.stdout


@contextmanager
def booting(root: Root, log: Path) -> Iterator[Machine]:
    """Boot a system for the block, without keeping its changes; its console goes to a log."""
    with log.open("wb") as console:
        process = subprocess.Popen(
            [str(HERE / "boot"), str(root.path)], stdin=subprocess.PIPE, stdout=console,
            stderr=console,
        )  # fmt: skip
    try:
        machine = eventually(lambda: _found(process, log), BOOT)
        eventually(lambda: _is_up(machine), BOOT)
        yield machine
    finally:
        process.communicate(timeout=PATIENCE)


def _found(process: "subprocess.Popen[bytes]", log: Path) -> Machine | None:
    """Return the machine once its systemd runs: a child of nspawn or of unshare."""
    assert process.poll() is None, log.read_text(errors="replace")
    pid = process.pid
    for name in ("unshare", "systemd-nspawn", "systemd"):
        found = [child for child in _children(pid) if _name(child) == name]
        if not found:
            return None
        pid = found[0]
    return Machine(pid)


def _children(pid: int) -> list[int]:
    return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]


def _name(pid: int) -> str:
    return _read(f"/proc/{pid}/comm").strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""


def _is_up(machine: Machine) -> bool:
    state = machine.attempt("systemctl", "is-system-running").stdout.strip()
    return state in ("running", "degraded")


def eventually(condition: Callable[[], Any], seconds: float) -> Any:
    """Return the condition's first true value; fail when there is none in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.1)
    return value
