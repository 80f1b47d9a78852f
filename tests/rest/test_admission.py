"""R42: requests that are refused by their headers use no thread, and their bodies are not read."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.rest_server import TOKENS, Client, Running, make_token, serving
from tests.scoreboard import Figures, rounds
from tests.support import HANG, prepare

pytestmark = pytest.mark.hypervisor

PORT = 8427


@pytest.fixture(scope="module")
def admin() -> Iterator[str]:
    yield make_token("admission", "admin")
    TOKENS.unlink()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    prepare()
    directory = tmp_path_factory.mktemp("admission")
    with serving(directory, "--listen", f"127.0.0.1:{PORT}") as running:
        yield running


def dial() -> socket.socket:
    return socket.create_connection(("127.0.0.1", PORT), HANG)


def head(method: str, path: str, *lines: str) -> bytes:
    """Return a header that announces a longer body than is sent."""
    all_lines = ("Host: localhost", "Content-Length: 6000", *lines)
    return "\r\n".join([f"{method} {path} HTTP/1.1", *all_lines, "", '{"half":']).encode()


def status(connection: socket.socket) -> int:
    return int(connection.recv(65536).split()[1])


@pytest.mark.parametrize(
    ("method", "path", "lines", "expected"),
    [
        ("POST", "/hosts/web1", ["Content-Type: application/json"], {401, 429}),
        ("POST", "/nothing", [], {401, 429}),
        ("DELETE", "/hosts/web1", [], {401, 429}),
        ("POST", "/hosts/web1", ["Authorization: Bearer shctl_wrong"], {401, 429}),
        ("POST", "/hosts/web1", ["Origin: http://evil.example"], {403}),
        ("PATCH", "/hosts/web1", ["Content-Type: application/json"], {401, 429}),
        ("PATCH", "/hosts/web1", ["Origin: http://evil.example"], {403}),
    ],
)
def test_r42_half_a_body_without_credentials(
    server: Running, method: str, path: str, lines: list[str], expected: set[int]
) -> None:
    """The response comes before the announced body."""
    del server
    with dial() as connection:
        connection.sendall(head(method, path, *lines))
        assert status(connection) in expected


@pytest.mark.parametrize(
    ("method", "path", "lines", "expected"),
    [
        ("POST", "/nothing", [], 404),
        ("PATCH", "/hosts", [], 405),
        ("POST", "/hosts/web1", ["Content-Type: text/plain"], 400),
        ("POST", "/hosts/web1", ["Content-Encoding: gzip"], 415),
        ("PATCH", "/hosts/web1", ["Content-Type: text/plain"], 400),
        ("PATCH", "/hosts/web1", ["Content-Encoding: gzip"], 415),
    ],
)
def test_r42_half_a_body_of_a_refused_request(
    server: Running, admin: str, method: str, path: str, lines: list[str], expected: int
) -> None:
    del server
    with dial() as connection:
        connection.sendall(head(method, path, f"Authorization: Bearer {admin}", *lines))
        assert status(connection) == expected


def test_r42_half_bodies_do_not_delay_others(server: Running, admin: str, figures: Figures) -> None:
    """Without a token they do not count in the limit of arriving bodies."""
    client = Client(PORT, token=admin)
    number = rounds(200, 150)
    tasks = Path(f"/proc/{server.process.pid}/task")
    before = len(list(tasks.iterdir()))
    with ExitStack() as connections:
        for _ in range(number):
            connection = connections.enter_context(dial())
            connection.sendall(head("POST", "/networks/x", "Content-Type: application/json"))
        assert len(list(tasks.iterdir())) - before < 10
        begin = time.monotonic()
        reply = client.ask("POST", "/networks/r42", {"bridge": "br9", "vlan": 5})
        figures.limit("answer", round(time.monotonic() - begin, 2), 1, "s")
        assert (reply.status, reply.json["field"]) == (400, "bridge")
    figures.share("bad inputs refused", number, number)


def test_r42_bodies_of_one_caller_are_limited(server: Running, admin: str) -> None:
    """A caller with many unfinished bodies gets 503; other callers are served."""
    lines = (f"Authorization: Bearer {admin}", "Content-Type: application/json")
    with ExitStack() as connections:
        for _ in range(32):
            connection = connections.enter_context(dial())
            connection.sendall(head("POST", "/networks/x", *lines))
        reply = None
        end = time.monotonic() + HANG
        while reply != 503 and time.monotonic() < end:
            with dial() as connection:
                connection.settimeout(1)
                connection.sendall(head("POST", "/networks/x", *lines))
                try:
                    reply = status(connection)
                except TimeoutError:
                    continue
        assert reply == 503
        assert server.client.ask("POST", "/networks/x", {"bridge": "br9", "vlan": 5}).status == 400
        assert Client(PORT, token=admin).ask("GET", "/hosts").status == 200


def test_a_refusal_reaches_clients_that_send_first(server: Running) -> None:
    """Clients get the response and no reset connection."""
    del server
    for _ in range(20):
        with dial() as connection:
            connection.sendall(head("POST", "/hosts/web1"))
            connection.sendall(b" " * 5992)
            assert status(connection) in (401, 429)


@pytest.mark.parametrize("path", ["/healthz", "/docs"])
def test_http_1_0_without_host(server: Running, path: str) -> None:
    del server
    with dial() as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert status(connection) == 200


@pytest.mark.parametrize("line", ["Host: evil.example", "Host:", "Origin: http://evil.example"])
def test_r36_http_1_0_with_another_name(server: Running, line: str) -> None:
    del server
    with dial() as connection:
        connection.sendall(f"GET /healthz HTTP/1.0\r\n{line}\r\n\r\n".encode())
        assert status(connection) == 403
