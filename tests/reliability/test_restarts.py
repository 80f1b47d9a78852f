"""Scoreboard R46: repeated restarts of libvirtd under load, and calls that hang."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from shctl.hosts.power import wait_until
from tests.rest_server import Client, Running, serving
from tests.scoreboard import LEAKED, Figures, rounds
from tests.support import daemon, eventually, prepare

pytestmark = pytest.mark.hypervisor

PEOPLE = 40
PATHS = ("/hosts", "/networks/vlan10", "/hosts/nobody", "/metrics", "/healthz")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    prepare()
    with serving(tmp_path) as running:
        yield running


def usage(pid: int) -> tuple[int, int]:
    """Return how many descriptors and threads a process has."""
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


@contextmanager
def load(client: Client) -> Iterator[Counter[int]]:
    """Send requests without a pause; yield the number of responses for each status."""
    over, statuses = threading.Event(), Counter[int]()

    def ask(number: int) -> None:
        while not over.is_set():
            statuses[client.ask("GET", PATHS[number % len(PATHS)]).status] += 1

    with ThreadPoolExecutor(PEOPLE) as pool:
        people = [pool.submit(ask, number) for number in range(PEOPLE)]
        try:
            yield statuses
        finally:
            over.set()
        for one in people:
            one.result()


def warm_up(client: Client) -> None:
    for path in PATHS:
        client.ask("GET", path)


def check_recovered(
    server: Running, before: tuple[int, int], figures: Figures, seconds: float
) -> None:
    """Check that the use of descriptors and threads returns to what it was before."""
    pid = server.process.pid
    began = time.monotonic()
    wait_until(lambda: usage(pid)[0] <= before[0] + 5 and usage(pid)[1] <= before[1], seconds)
    figures.limit("recovered after", round(time.monotonic() - began, 1), 10, "s")
    after = usage(pid)
    figures.worst(LEAKED, max(after[0] - before[0], 0), "of 5")
    figures.worst("leaked threads", max(after[1] - before[1], 0))
    assert after[0] <= before[0] + 5, (before, after)
    assert after[1] <= before[1], (before, after)


def test_r46_libvirtd_restarts_under_load(server: Running, figures: Figures) -> None:
    client = server.client
    warm_up(client)
    # Idle threads of the first requests end.
    before = eventually(lambda: _steady(server))
    with load(client) as statuses:
        for _ in range(rounds(50, 4)):
            seen = statuses[200]
            eventually(lambda: statuses[200] >= seen + PEOPLE)  # noqa: B023
            daemon("kill", "libvirtd")
            daemon("start", "libvirtd")
            figures.count("restarts")
    figures.count("requests", statuses.total())
    assert set(statuses) <= {200, 404, 503, 504}, statuses
    check_recovered(server, before, figures, 20)
    assert client.ask("GET", "/healthz").status == 200


def test_r46_calls_that_hang(server: Running, figures: Figures) -> None:
    client, number = server.client, rounds(100, 40)
    warm_up(client)
    before = eventually(lambda: _steady(server))
    pid = int(Path("/run/libvirtd.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(number) as pool:
            paths = [f"/hosts/h{n}" for n in range(number)]
            statuses = Counter(pool.map(lambda path: client.ask("GET", path).status, paths))
    finally:
        os.kill(pid, signal.SIGCONT)
    figures.count("hung calls", number)
    assert set(statuses) <= {429, 503, 504}, statuses
    check_recovered(server, before, figures, 20)
    eventually(lambda: client.ask("GET", "/hosts").status == 200)


def _steady(server: Running) -> tuple[int, int] | None:
    """Return a server's descriptors and threads once they stop changing, else None."""
    pid = server.process.pid
    now = usage(pid)
    time.sleep(0.2)
    return now if usage(pid) == now else None
