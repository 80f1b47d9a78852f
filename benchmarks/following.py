"""Rows of events: how long they take from libvirt's own callback, and what followers cost."""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median

from libvirt import VIR_DOMAIN_EVENT_STOPPED

from benchmarks.clock import ENVIRONMENT
from benchmarks.rack import SHCTL, URI, Rack
from benchmarks.serving import Server, shctl
from benchmarks.table import Row, ms

_NAME = "host0001"
_EVENTS, _WAITS, _FOLLOWERS = 40, 9, 200
_LATE_EVENT, _LATE_WAIT = 0.05, 0.1  # seconds
_BEGUN = 1.0  # seconds in which a client begins to wait

# A program of its own that does nothing else, so its callback is as early as one can be.
_CALLBACK = f"""
import libvirt, time
libvirt.virEventRegisterDefaultImpl()
connection = libvirt.open("{URI}")
def show(_connection, _domain, event, *_):
    print(time.monotonic(), event, flush=True)
connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, show, None)
print("ready", flush=True)
while True:
    libvirt.virEventRunDefaultImpl()
"""


def rows(rack: Rack) -> list[Row]:
    """Measure events of a hypervisor with 1,000 hosts."""
    host = rack.bare.lookupByName(_NAME)
    host.create()
    try:
        with shctl() as server, _callbacks() as reference:
            return [_events(rack, server, reference), _threads(server), _waits(rack, reference)]
    finally:
        if host.isActive():
            host.destroy()


@contextmanager
def _callbacks() -> Iterator[Iterator[tuple[float, int]]]:
    """Yield the times and events of libvirt's callbacks."""
    argv = [sys.executable, "-c", _CALLBACK]
    with subprocess.Popen(argv, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        lines = (line.split() for line in process.stdout)
        yield ((float(moment), int(event)) for moment, event in lines)
        process.kill()


def _follow(server: Server) -> http.client.HTTPConnection:
    connection = server.connect()
    connection.request("GET", f"/events?host={_NAME}")
    return connection


def _events(rack: Rack, server: Server, reference: Iterator[tuple[float, int]]) -> Row:
    host = rack.bare.lookupByName(_NAME)
    late = []
    with closing(_follow(server)) as connection:
        answer = connection.getresponse()
        for number in range(_EVENTS):
            (host.suspend if number % 2 == 0 else host.resume)()
            while not answer.readline().startswith(b"data:"):
                pass
            late.append(time.monotonic() - next(reference)[0])
    return Row(
        "an event of libvirt to a client of GET /events, median; slowest",
        f"{ms(median(late))}; {ms(max(late))}", "", "", "", "at most 50 ms",
        max(late) <= _LATE_EVENT,
    )  # fmt: skip


def _threads(server: Server) -> Row:
    def count() -> int:
        return len(list(Path(f"/proc/{server.pid}/task").iterdir()))

    before = count()
    with ExitStack() as stack:
        for _ in range(_FOLLOWERS):
            stack.enter_context(closing(_follow(server))).getresponse()
        more = count() - before
    return Row(
        f"threads for {_FOLLOWERS} followers", str(more), "", "", "", "none each",
        more < _FOLLOWERS / 10,
    )  # fmt: skip


def _waits(rack: Rack, reference: Iterator[tuple[float, int]]) -> Row:
    host = rack.bare.lookupByName(_NAME)
    late = []
    for _ in range(_WAITS):
        argv = [SHCTL, "hosts", "wait", _NAME, "--for", "stopped"]
        with subprocess.Popen(argv, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
            time.sleep(_BEGUN)
            host.destroy()
            process.wait()
            end = time.monotonic()
        stopped = (moment for moment, event in reference if event == VIR_DOMAIN_EVENT_STOPPED)
        late.append(end - next(stopped))
        host.create()
    return Row(
        "the end of a host to the end of `hosts wait --for stopped`",
        f"{ms(median(late))}; {ms(max(late))}", "", "", "", "at most 100 ms",
        max(late) <= _LATE_WAIT,
    )  # fmt: skip
