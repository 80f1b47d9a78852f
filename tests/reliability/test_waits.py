"""Scoreboard R44: hundreds of waits, and clients that disconnect before the response."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shctl.rest.daemon import THREADS
from shctl.server import ROUTES
from tests.rest_server import (
    PORT,
    TOKENS,
    Certificates,
    Client,
    Running,
    make_certificates,
    make_token,
    serving,
)
from tests.scoreboard import Figures, rounds
from tests.support import eventually, ok, prepare, state

pytestmark = pytest.mark.hypervisor

HOST = {"memory": 32, "disks": [1], "networks": ["vlan10"], "start": True}
ENDLESS = "/hosts/a/wait?for=stopped&timeout=300"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    """Run a server with a host `a` whose guest ignores shutdown requests."""
    prepare()
    with serving(tmp_path, "--listen", f"127.0.0.1:{PORT}") as running:
        running.client.ok("POST", "/hosts/a", HOST)
        yield running
        ok("hosts", "delete", "a", "--if-exists", "--yes")


@pytest.fixture
def tokens(server: Running) -> Iterator[dict[str, str]]:
    yield {name: make_token(name, name) for name in ("read", "power", "admin")}
    TOKENS.unlink()


def begin(client: Client, method: str, path: str, body: bytes = b"") -> socket.socket:
    """Send a request and return its connection, without waiting for the answer."""
    connection = client.connection()
    headers = {"Content-Type": "application/json"} if body else {}
    if client.token:
        headers["Authorization"] = f"Bearer {client.token}"
    connection.request(method, path, body or None, headers)
    return connection.sock


def give_up(client: Client, method: str, path: str, body: bytes = b"") -> None:
    """Send a request and disconnect if there is no immediate response, like impatient proxies."""
    with begin(client, method, path, body) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_r44_waits_of_a_reader_block_nobody(
    server: Running, tokens: dict[str, str], figures: Figures
) -> None:
    reader = Client(PORT, token=tokens["read"])
    power, admin = (Client(PORT, token=tokens[name]) for name in ("power", "admin"))
    number = rounds(500, 60)
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(begin(reader, "GET", ENDLESS))
        refused = eventually(lambda: _refused(reader))
        assert refused == {"status": 429, "retry-after": "5"}
        with figures.within(5, "stop, start, delete"):
            power.ok("PUT", "/hosts/a/stop", {"force": True})
            power.ok("PUT", "/hosts/a/start")
            admin.ok("DELETE", "/hosts/a")
            admin.ok("POST", "/hosts/a", HOST)
        for _ in range(number):
            stack.enter_context(begin(reader, "GET", ENDLESS))
        eventually(lambda: _refused(reader))
        assert admin.ask("GET", "/hosts/a/wait?for=running").status == 200
    figures.count("waits", number)
    with figures.within(2, "places free after"):
        eventually(lambda: not _refused(reader))


def _refused(client: Client) -> dict[str, object] | None:
    """Return the error for a client with too many waits, else None."""
    reply = client.ask("GET", "/hosts/a/wait?for=stopped&timeout=0")
    if reply.status == 504:
        return None
    return {"status": reply.status, "retry-after": reply.headers["retry-after"]}


def test_r44_waiting_stops_do_not_block_other_stops(server: Running, figures: Figures) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(begin(server.client, "PUT", "/hosts/a/stop"))
        with figures.within(2, "forced stop"):
            server.client.ok("PUT", "/hosts/a/stop", {"force": True})
    assert state("a") == "shut off"


@pytest.mark.parametrize("way", ["unix", "tcp", "tls"])
def test_r44_wait_ends_when_its_client_disconnects(
    way: str, tmp_path: Path, certificates: Certificates, figures: Figures
) -> None:
    prepare()
    options = certificates.options if way == "tls" else ()
    with serving(tmp_path, "--listen", f"127.0.0.1:{PORT}", *options) as server:
        server.client.ok("POST", "/hosts/a", HOST)
        token = None if way == "unix" else make_token("reader", "power")
        client = Client(
            server.socket if way == "unix" else PORT,
            context=certificates.context() if way == "tls" else None,
            token=token,
        )
        give_up(client, "GET", ENDLESS)
        give_up(client, "PUT", "/hosts/a/stop", b'{"timeout": 100}')
        paths = {"/hosts/a/wait", "/hosts/a/stop"}
        with figures.within(2, "end of the wait"):
            eventually(lambda: {(row["path"], row["status"]) for row in server.lines("request")}
                       >= {(path, 503) for path in paths})  # fmt: skip
        server.client.ok("DELETE", "/hosts/a")
    TOKENS.unlink(missing_ok=True)


def test_r44_operation_continues_without_its_client(server: Running) -> None:
    begin(server.client, "PUT", "/hosts/a/stop", b'{"force": true, "timeout": 1}').close()
    body = b'{"memory": 32, "disks": [1], "networks": ["vlan10"]}'
    begin(server.client, "POST", "/hosts/b", body).close()
    eventually(lambda: state("a") == "shut off")
    eventually(lambda: server.client.ask("GET", "/hosts/b").status == 200)
    server.client.ok("DELETE", "/hosts/b")


def test_r44_more_threads_than_requests() -> None:
    """Queued requests have a thread too."""
    import click

    from shctl.cli.main import root
    from shctl.rest.runner import CommandRunner

    with click.Context(root) as context:
        limits = CommandRunner(context, "test:///default").limits
    assert {route.limit for route in ROUTES} == set(limits)
    assert sum(limit.total + limit.queue for limit in limits.values()) < THREADS
    assert all(limit.per_caller < limit.total for limit in limits.values())
