"""Take the time of processes and calls, in turns, so that all meet the same weather."""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

ROUNDS = 11
# What decides how Python starts is left to each program, as in a user's shell.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SHCTL_"))
}


@dataclass(frozen=True)
class Run:
    """What one execution took: `wall` and `processor` in seconds, `peak` in MiB."""

    wall: float
    processor: float = 0.0
    peak: float = 0.0


Work = Callable[[], Run]


# A separate program, because Linux counts the memory of the parent as the peak of
# that process, and this one has grown. It starts the command and prints what the kernel reports.
_STARTER = """
import os, sys, time
nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1)]
start = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=nowhere)
_, status, used = os.wait4(pid, 0)
print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(bool(status))
"""


def process(*argv: str) -> Run:
    """Run a command to its end; raise RuntimeError with what it wrote when it fails."""
    starter = [sys.executable, "-S", "-E", "-c", _STARTER, *argv]
    done = subprocess.run(starter, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed: {done.stderr}")
    return Run(*map(float, done.stdout.split()))


def call(function: Callable[[], object]) -> Run:
    """Call a function of this process."""
    before = time.thread_time()
    start = time.perf_counter()
    function()
    wall = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Run(wall, time.thread_time() - before, peak)


def alternate(works: Mapping[str, Work], rounds: int = ROUNDS) -> dict[str, list[Run]]:
    """Run each work in turn; the first round, which fills caches, does not count."""
    found: dict[str, list[Run]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            run = work()
            if number:
                found[name].append(run)
    return found


def wait_for(attempt: Callable[[], object], seconds: float = 10) -> None:
    """Try something until it does not raise OSError; raise the last one when time is over."""
    end = time.monotonic() + seconds
    while True:
        try:
            attempt()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def at_once(functions: list[Callable[[], object]]) -> None:
    """Call each function in a thread of its own; raise the first one's failure."""
    failures: list[BaseException] = []

    def guarded(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def wall(runs: list[Run]) -> float:
    """Return the median time in seconds."""
    return median(run.wall for run in runs)


def processor(runs: list[Run]) -> float:
    """Return the median of the processor's time in seconds."""
    return median(run.processor for run in runs)


def peak(runs: list[Run]) -> float:
    """Return the largest memory in MiB."""
    return max(run.peak for run in runs)


def ratio(own: list[Run], others: list[Run]) -> float:
    """Return the median of the ratios of neighbouring runs."""
    return median(a.wall / b.wall for a, b in zip(own, others, strict=True))
