"""R42: an HTTP/2 client that opens streams only to reset them (CVE-2023-44487)."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated

from tests.rest_server import TOKENS, Client, Running, make_token, serving
from tests.scoreboard import Figures, rounds
from tests.support import HANG, prepare

pytestmark = pytest.mark.hypervisor

PORT = 8431
STREAMS = 10_000
HEADERS = [
    (":method", "GET"),
    (":path", "/hosts"),
    (":scheme", "http"),
    (":authority", "localhost"),
]


def resets(number: int) -> bytes:
    """Return what a client sends that opens and resets this number of streams."""
    client = H2Connection(H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    for stream in range(1, 2 * number, 2):
        client.send_headers(stream, HEADERS, end_stream=True)
        client.reset_stream(stream)
    data: bytes = client.data_to_send()
    return data


def last_error(connection: socket.socket) -> object:
    """Read until the server ends the connection; return its error code."""
    client = H2Connection(H2Configuration())
    client.initiate_connection()
    errors: list[object] = []
    with suppress(ConnectionError):
        while data := connection.recv(65536):
            found = client.receive_data(data) if not errors else []
            errors += [one.error_code for one in found if isinstance(one, ConnectionTerminated)]
    return errors[-1] if errors else None


@contextmanager
def longest(client: Client) -> Iterator[list[float]]:
    """Request /healthz without a pause, and record the longest response time."""
    took, over = [0.0], threading.Event()

    def ask() -> None:
        while not over.is_set():
            begin = time.monotonic()
            assert client.ask("GET", "/healthz").status == 200
            took[0] = max(took[0], time.monotonic() - begin)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield took
    finally:
        over.set()
        asking.join()


@pytest.mark.parametrize("listener", ["unix", "tcp"])
def test_r42_streams_that_are_reset(tmp_path: Path, listener: str, figures: Figures) -> None:
    """The connection ends, other clients are served meanwhile, and the log has no traceback."""
    prepare()
    make_token("reader", "read")
    flood = resets(STREAMS)
    with serving(tmp_path, "--listen", f"127.0.0.1:{PORT}") as running:
        with longest(running.client) as took:
            for _ in range(rounds(10, 3)):
                with attacker(running, listener) as connection:
                    with suppress(ConnectionError):
                        connection.sendall(flood)
                    assert last_error(connection) in (ErrorCodes.ENHANCE_YOUR_CALM, None)
        figures.limit("answers", round(took[0], 2), 0.5, "s")
        running.client.ok("GET", "/hosts")
        assert not [line for line in running.lines() if "traceback" in line]
    TOKENS.unlink()


def attacker(running: Running, listener: str) -> socket.socket:
    """Connect as a client with full access, or as one without a token."""
    if listener == "tcp":
        return socket.create_connection(("127.0.0.1", PORT), HANG)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(HANG)
    connection.connect(str(running.client.address))
    return connection
