"""Rows of the REST server."""

import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import libvirt

from benchmarks import peers
from benchmarks.clock import ENVIRONMENT, Run, alternate, at_once, call, ratio, wait_for, wall
from benchmarks.creating import bare
from benchmarks.rack import NETWORK, SHCTL, URI, VIRT_TYPE, Rack
from benchmarks.table import Row, ms, times

_SOCKET = Path("/run/shctl/shctl.sock")
_PEER_PORT = 8001
_NAME = "host0500"
_TURNS, _IN_TURN = 15, 20
_CLIENTS = 8
_EACH = 50
_MANY = 10_000
_HOSTS = 20
_MEMORY, _FLAT = 60, 1.03  # MB; growth
_BULK = 9  # rounds of 20 hosts; each takes seconds

Ask = Callable[[], object]


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Server:
    """A server that runs; each connection is kept for as long as the server keeps it."""

    pid: int
    connect: Callable[[], http.client.HTTPConnection]

    def memory(self) -> float:
        """Return its resident memory in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return int(found["VmRSS"].split()[0]) / 1024


def ask(
    connection: http.client.HTTPConnection, path: str, body: object = None, method: str = "GET"
) -> bytes:
    """Send a request and return the answer's body; raise RuntimeError unless it succeeds."""
    data = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, path, data, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
    return text


@contextmanager
def _running(
    argv: list[str], connect: Callable[[], http.client.HTTPConnection], first: str
) -> Iterator[Server]:
    process = subprocess.Popen(
        argv, env={**ENVIRONMENT, "HOME": "/run"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: ask(connect(), first))
        yield Server(process.pid, connect)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def shctl() -> AbstractContextManager[Server]:
    """Start `shctl serve`, with what its systemd unit sets."""
    argv = ["/usr/bin/env", "MALLOC_ARENA_MAX=1", SHCTL, "serve"]
    return _running(argv, partial(UnixConnection, _SOCKET), "/")


def sushy(program: str) -> AbstractContextManager[Server]:
    """Start sushy-tools' emulator."""
    argv = [program, "--libvirt-uri", URI, "-i", "127.0.0.1", "-p", str(_PEER_PORT)]
    connect = partial(http.client.HTTPConnection, "127.0.0.1", _PEER_PORT)
    return _running(argv, connect, "/redfish/v1/Systems")


def rows(rack: Rack) -> list[Row]:
    """Measure the server on a hypervisor with 1,000 hosts."""
    with shctl() as server:
        found = [_memory(server)]
    with shctl() as server:
        return [*found, *_gets(rack, server), _clients(server), _bulk(rack, server)]


def _gets(rack: Rack, server: Server) -> list[Row]:
    uuid = rack.bare.lookupByName(_NAME).UUIDString()
    program = peers.program("sushy-emulator")
    if program is None:
        return _compared(rack, server, {})
    with sushy(program) as peer:
        systems = "/redfish/v1/Systems"
        return _compared(
            rack, server, {"list": (peer, systems), "one": (peer, f"{systems}/{uuid}")}
        )


def _compared(rack: Rack, server: Server, other: dict[str, tuple[Server, str]]) -> list[Row]:
    bulk = partial(rack.bare.getAllDomainStats, libvirt.VIR_DOMAIN_STATS_STATE)
    several = _alternate(server, "/hosts", bulk, other.get("list"))
    one = _alternate(
        server, f"/hosts/{_NAME}", lambda: rack.bare.lookupByName(_NAME).XMLDesc(),
        other.get("one"),
    )  # fmt: skip
    over = ratio(several["shctl"], several["bare"])
    took = wall(one["shctl"])
    return [
        Row(
            "GET /hosts, 1,000 hosts, one client", ms(wall(several["shctl"])), _peer(several),
            ms(wall(several["bare"])), times(over), "at most 1.5 times the bare call", over <= 1.5,
        ),
        Row(
            "GET /hosts/NAME, 1,000 hosts", ms(took), _peer(one), ms(wall(one["bare"])), "",
            "at most 2 ms", took <= 0.002,
        ),
    ]  # fmt: skip


def _alternate(
    server: Server, path: str, bare: Ask, other: tuple[Server, str] | None
) -> dict[str, list[Run]]:
    """Ask shctl, libvirt and the peer in turns, each over one connection that stays open.

    A turn is several requests, one after the other, as a client makes them: where requests take
    turns one by one, each finds everybody asleep.
    """
    asks: dict[str, Ask] = {"shctl": partial(ask, server.connect(), path), "bare": bare}
    if other:
        asks["sushy-tools"] = partial(ask, other[0].connect(), other[1])
    return alternate({name: partial(_turn, function) for name, function in asks.items()}, _TURNS)


def _turn(function: Ask) -> Run:
    """Return what one of several calls takes, the median of them."""
    return Run(wall([call(function) for _ in range(_IN_TURN)]))


def _peer(runs: dict[str, list[Run]]) -> str:
    if "sushy-tools" not in runs:
        return peers.reason("sushy-tools")
    return f"sushy-tools {ms(wall(runs['sushy-tools']))}"


def _clients(server: Server) -> Row:
    alone, together = _flood(server, 1), _flood(server, _CLIENTS)
    p99 = quantiles(together.times, n=100)[98]
    middle = median(together.times)
    fine = together.rate >= alone.rate and p99 < 5 * middle
    return Row(
        f"GET /hosts, 1,000 hosts, {_CLIENTS} clients",
        f"{together.rate:.0f}/s, median {ms(middle)}, p99 {ms(p99)}", "",
        f"one client {alone.rate:.0f}/s", times(together.rate / alone.rate),
        "throughput of one client, p99 under 5 medians", fine,
    )  # fmt: skip


@dataclass(frozen=True)
class Flood:
    """What came of many requests: how long each took, and how many were answered a second."""

    times: list[float]
    rate: float


def _flood(server: Server, clients: int) -> Flood:
    took: list[float] = []

    def go_on() -> None:
        with closing(server.connect()) as connection:
            for _ in range(_EACH):
                start = time.perf_counter()
                ask(connection, "/hosts")
                took.append(time.perf_counter() - start)

    run = call(lambda: at_once([go_on] * clients))
    return Flood(took, len(took) / run.wall)


def _bulk(rack: Rack, server: Server) -> Row:
    runs = alternate(
        {
            "shctl": partial(_all_at_once, rack, "rest", partial(_post, server)),
            "bare": partial(_all_at_once, rack, "bare", partial(bare, rack)),
        },
        _BULK,
    )
    found = ratio(runs["shctl"], runs["bare"])
    return Row(
        f"{_HOSTS} hosts created and started at once over REST", ms(wall(runs["shctl"])), "",
        ms(wall(runs["bare"])), times(found), "at most 1.2 times the bare calls", found <= 1.2,
    )  # fmt: skip


def _all_at_once(rack: Rack, prefix: str, make: Callable[[str], object]) -> Run:
    """Make hosts in as many threads; they are removed untimed."""
    hosts = [f"{prefix}{number}" for number in range(_HOSTS)]
    run = call(lambda: at_once([partial(make, host) for host in hosts]))
    rack.remove(*hosts)
    return run


def _post(server: Server, name: str) -> None:
    wanted = {
        "memory": 128, "disks": [1], "networks": [NETWORK], "virt_type": VIRT_TYPE, "start": True,
    }  # fmt: skip
    with closing(server.connect()) as connection:
        ask(connection, f"/hosts/{name}", wanted, "POST")


def _memory(server: Server) -> Row:
    """Return the memory after half of many requests, and after all of them."""
    half, full = (_after(server, count) for count in (_MANY // 2, _MANY // 2))
    return Row(
        f"memory of `shctl serve` after {_MANY:,} requests",
        f"{full:.1f} MB", "", "", f"{full / half:.2f} times that after half of them",
        "at most 60 MB, flat", full <= _MEMORY and full <= _FLAT * half,
    )  # fmt: skip


def _after(server: Server, requests: int) -> float:
    paths = ["/hosts", f"/hosts/{_NAME}", "/networks", "/"]
    with closing(server.connect()) as connection:
        for number in range(requests):
            ask(connection, paths[number % len(paths)])
    return server.memory() * 1.048576
