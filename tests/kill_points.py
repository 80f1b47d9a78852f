"""Run shctl in forked processes that are killed at a point that the test chooses.

A new process spends most of its time importing, where a kill proves nothing. The functions that
change something are wrapped from outside, so shctl has no code for it. Each step of a plan is a
point too, so that a new step is tested without being named here.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from tests.support import ROOT, environment

# Class or module, and its functions that change something.
POINTS = {
    "common.steps": "_run",
    "hypervisor.connection:Hypervisor": "define redefine launch_paused",
    "hypervisor.domain:Domain": (
        "set_autostart start_paused resume destroy undefine set_metadata"
        " plug_cpus attach update detach block_resize"
    ),
    "hypervisor.pools:Pool": "create_volume",
    "hypervisor.pools:Volume": "delete resize",
    "networks.openvswitch": "remove_stale_ports",
    "hosts.console_log": "prepare_log remove_log",
    "install.boot_files": "make_boot_directory place remove_boot_files",
    "install.cache": "_open_borrowed",
}


class Forker:
    """The process that forks; `trace` contains the points that the latest child passed."""

    def __init__(self, process: "subprocess.Popen[str]", trace: Path) -> None:
        self._process = process
        self._trace = trace

    def begin(
        self, *arguments: str, kill_at: int = 0, number: signal.Signals = signal.SIGKILL
    ) -> int:
        """Start shctl and return its PID; at its point number `kill_at` it gets a signal."""
        self._trace.write_text("")
        order = {
            "arguments": arguments, "trace": str(self._trace),
            "kill_at": kill_at, "signal": number,
        }  # fmt: skip
        return self._ask(order)

    def end(self) -> int:
        """Wait for it; return its exit code, the signal's number below 0 if one ended it."""
        return os.waitstatus_to_exitcode(self._ask("wait"))

    def run(self, *arguments: str, kill_at: int = 0) -> int:
        self.begin(*arguments, kill_at=kill_at)
        return self.end()

    def run_until(self, seconds: float, *arguments: str) -> int:
        """Run a command and kill it after `seconds`."""
        pid = self.begin(*arguments)
        time.sleep(seconds)
        # Nobody else can have its PID before end().
        os.kill(pid, signal.SIGKILL)
        return self.end()

    @property
    def trace(self) -> list[str]:
        return self._trace.read_text().split()

    def _ask(self, what: object) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps(what)}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def forker() -> Iterator[Forker]:
    """Start the process that forks."""
    argv = [sys.executable, "-m", "tests.kill_points"]
    with (
        tempfile.NamedTemporaryFile() as trace,
        subprocess.Popen(
            argv, env=environment(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):  # fmt: skip
        yield Forker(process, Path(trace.name))
        assert process.stdin
        process.stdin.close()


def moments(number: int, longest: float) -> list[float]:
    """Return `number` random delays up to `longest` seconds, the same in each run."""
    chosen = random.Random(number)
    return [chosen.uniform(0, longest) for _ in range(number)]


def _serve() -> None:
    """Serve orders: fork and print the PID, or wait and print the exit status."""
    pid = 0
    for order in map(json.loads, sys.stdin):
        if order == "wait":
            answer = os.waitpid(pid, 0)[1]
        else:
            answer = pid = os.fork()
        if not answer and order != "wait":
            _become(order)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _become(order: dict[str, Any]) -> NoReturn:
    from shctl.cli.main import root

    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    _watch(Path(order["trace"]), order["kill_at"], order["signal"])
    root.main(order["arguments"], prog_name="shctl")


def _watch(trace: Path, kill_at: int, number: int) -> None:
    passed = 0

    def pass_point(name: str) -> None:
        nonlocal passed
        passed += 1
        with trace.open("a") as stream:
            stream.write(f"{name}\n")
        if passed == kill_at:
            os.kill(os.getpid(), number)

    _Passing.report = staticmethod(pass_point)


class _Passing:
    """Holds the callback that wrapped functions call after they return."""

    report: Callable[[str], None] = staticmethod(lambda _name: None)


def _wrap_points() -> None:
    from importlib import import_module

    for place, names in POINTS.items():
        module, _, class_name = place.partition(":")
        found: Any = import_module(f"shctl.{module}")
        owner: type | ModuleType = getattr(found, class_name) if class_name else found
        for name in names.split():
            setattr(owner, name, _wrapped(f"{place}.{name}", getattr(owner, name)))


def _wrapped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        _Passing.report(name)
        return result

    return wrapper


if __name__ == "__main__":
    sys.modules["tests.kill_points"] = sys.modules["__main__"]
    # Modules that import these functions by name come after these have been wrapped.
    _wrap_points()
    for late in ("hosts.creation", "hosts.deletion", "hosts.waiting", "commands.hosts"):
        __import__(f"shctl.{late}")
    _serve()
