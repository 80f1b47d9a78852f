"""R37: clients that send slowly, endlessly, or less than they announce."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rest_server import JSON, Client, Running
from tests.scoreboard import P99, Figures
from tests.support import eventually

pytestmark = pytest.mark.hypervisor

HALF_OPEN = 200
MOST = 50  # MB, maximum growth
GOOD = b'{"bridge":"br0","vlan":12}'


def memory(server: Running) -> float:
    """Return the resident memory of a server, in MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def files(server: Running) -> set[str]:
    """Return the plain files that a server has open; its log is one."""
    links = set()
    for descriptor in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.add(str(descriptor.readlink()))
    return {link for link in links if link.startswith("/") and not link.startswith("/dev/")}


def dial(server: Running) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(str(server.socket))
    return connection


@contextmanager
def half_open(server: Running) -> Iterator[None]:
    """Keep clients that have sent half a header."""
    with contextlib.ExitStack() as connections:
        for _ in range(HALF_OPEN):
            connection = connections.enter_context(dial(server))
            connection.sendall(b"GET /hosts HTTP/1.1\r\nHost: local")
        yield


@contextmanager
def endless(server: Running) -> Iterator[None]:
    """Send chunk after chunk, over a new connection whenever the server closes one."""
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            with dial(server) as connection, contextlib.suppress(OSError):
                connection.sendall(
                    b"POST /networks/n12 HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                while not over.is_set():
                    connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
                    # Limit the rate: the test is not a benchmark.
                    over.wait(0.001)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def truncated(server: Running) -> Iterator[None]:
    """Keep clients that announce more than they send."""
    with contextlib.ExitStack() as connections:
        for _ in range(20):
            connection = connections.enter_context(dial(server))
            connection.sendall(
                b"POST /networks/n12 HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n" + GOOD
            )
        yield


def test_r37_other_clients_are_not_affected(
    server: Running, client: Client, figures: Figures
) -> None:
    for _ in range(50):
        client.ok("GET", "/hosts")
    before, open_before, times = memory(server), files(server), []
    with half_open(server), truncated(server), endless(server):
        for _ in range(200):
            begin = time.monotonic()
            client.ok("GET", "/hosts")
            times.append(time.monotonic() - begin)
        more, opened = memory(server) - before, files(server) - open_before
    p99 = sorted(times)[-3]
    figures.limit(P99, round(1000 * p99), 500, "ms")
    figures.worst("more memory", round(more, 1), f"of {MOST} MB")
    assert more < MOST
    assert opened == set()


def test_r37_half_a_body_is_not_acted_on(server: Running, client: Client) -> None:
    """The body is shorter than announced, although it is valid JSON."""
    with truncated(server):
        pass
    client.ok("GET", "/hosts")
    assert client.ask("GET", "/networks/n12").status == 404


def test_r37_half_open_connections_are_closed(server: Running) -> None:
    with dial(server) as connection:
        connection.sendall(b"GET /hosts HTTP/1.1\r\nHost: local")
        assert eventually(lambda: connection.recv(1) == b"")


def test_r37_endless_header(server: Running) -> None:
    with dial(server) as connection:
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 120_000)
        assert connection.recv(100).split()[1] in (b"400", b"431")


def exchange(server: Running, *parts: bytes) -> bytes:
    """Send a request in raw bytes; return the start of the response."""
    with dial(server) as connection:
        connection.sendall(b"".join(parts))
        return connection.recv(65536)


def test_r37_bodies_with_two_lengths(server: Running) -> None:
    """Requests that another server could split differently are refused (request smuggling)."""
    head = b"POST /networks/n12 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for lengths in (
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 26\r\nTransfer-Encoding: gzip\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1_0\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
    ):
        status = exchange(server, head, lengths, b"\r\n", GOOD).split()[1]
        assert status in (b"400", b"501"), lengths


def test_chunked_bodies_are_accepted(server: Running, client: Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield GOOD[:10]
        yield GOOD[10:]

    connection = client.connection()
    connection.request("POST", "/networks/n12", chunks(), JSON, encode_chunked=True)
    assert connection.getresponse().status == 201
    connection.close()
    client.ok("DELETE", "/networks/n12")


def test_many_requests_over_one_connection(client: Client) -> None:
    connection = client.connection()
    for _ in range(50):
        connection.request("GET", "/hosts")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"[]\n")
    connection.close()
