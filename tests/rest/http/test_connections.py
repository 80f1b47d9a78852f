"""R42: clients that connect and send nothing, with the 1,024 descriptors of a usual service."""

import contextlib
import http.client
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from shctl.rest.http import connections
from shctl.rest.http.connections import Listener
from tests import installations
from tests.guests import End, boot_sector, kernel
from tests.installations import FROM_DISK, virsh
from tests.rest_server import (
    TOKENS,
    Certificates,
    Client,
    Running,
    make_certificates,
    make_token,
    serving,
)
from tests.scoreboard import Figures, rounds
from tests.support import SHCTL, eventually, prepare

PORT, TLS_PORT = 8428, 8429
FILES = 1024
LIMITED = ["prlimit", f"--nofile={FILES}:{FILES}", *SHCTL]


@pytest.fixture(scope="module")
def reader() -> Iterator[str]:
    yield make_token("reader", "read")
    TOKENS.unlink()


@contextmanager
def idle(number: int, port: int, *parts: bytes) -> Iterator[None]:
    """Keep connections open that send only these parts of a request."""
    with ExitStack() as kept:
        for _ in range(number):
            with contextlib.suppress(OSError):
                connection = kept.enter_context(socket.create_connection(("127.0.0.1", port), 20))
                for part in parts:
                    connection.sendall(part)
        yield


def descriptors(server: Running) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.hypervisor
def test_r42_idle_connections(tmp_path: Path, reader: str, figures: Figures) -> None:
    """Both listeners respond, and an installation finishes meanwhile."""
    prepare()
    number = rounds(6000, 500)
    with (
        installations.serving() as trees,
        serving(tmp_path, "--listen", f"127.0.0.1:{PORT}", command=LIMITED) as running,
    ):
        image = kernel(installations.SAY, End.RESET, after=2, installs=boot_sector(FROM_DISK))
        location = trees.add("slow", image)
        body = {"memory": 64, "disks": [1], "networks": ["vlan10"], "install": True}
        running.client.ok("POST", "/hosts/web1", {**body, "location": location})
        with idle(number, PORT), idle(10, PORT, b"GET / HTTP/1.1\r\nHost: loc"):
            for _ in range(20):
                begin = time.monotonic()
                assert running.client.ask("GET", "/hosts").status == 200
                assert Client(PORT, token=reader).ask("GET", "/hosts").status == 200
                figures.limit("answers", round(time.monotonic() - begin, 2), 2, "s")
            eventually(lambda: '"installed"' in virsh("dumpxml", "--inactive", "web1"))
            assert descriptors(running) < FILES / 2
        running.client.ok("DELETE", "/hosts/web1")
        assert not [line for line in running.lines() if "traceback" in line]
    figures.share("bad inputs refused", number, number)


@pytest.mark.hypervisor
def test_r42_silent_clients_of_tls(tmp_path: Path, reader: str) -> None:
    prepare()
    certificates: Certificates = make_certificates(tmp_path)
    with serving(
        tmp_path, "--listen", f"127.0.0.1:{TLS_PORT}", *certificates.options, command=LIMITED
    ) as running:
        client = Client(TLS_PORT, certificates.context(), reader)
        with idle(300, TLS_PORT):
            for _ in range(5):
                assert client.ask("GET", "/hosts").status == 200
            assert descriptors(running) < FILES / 2


@pytest.mark.hypervisor
def test_r42_active_request_is_not_closed_for_others(tmp_path: Path, reader: str) -> None:
    prepare()
    options = ("--listen", f"127.0.0.1:{PORT}")
    with serving(tmp_path, *options, command=LIMITED) as running:
        running.client.ok(
            "POST", "/hosts/web1", {"memory": 64, "disks": [1], "networks": ["vlan10"]}
        )
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
        path = "/hosts/web1/wait?for=running&timeout=3"
        connection.request("GET", path, headers={"Authorization": f"Bearer {reader}"})
        with idle(400, PORT):
            assert connection.getresponse().status == 504
        connection.close()
        running.client.ok("DELETE", "/hosts/web1")


@pytest.mark.hypervisor
def test_idle_connections_that_had_a_request_are_closed(tmp_path: Path) -> None:
    prepare()
    with (
        serving(tmp_path) as running,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.connect(str(running.socket))
        connection.settimeout(20)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        while connection.recv(65536):
            pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen(50)
        opened.setblocking(False)
        opened.limit = 4
        yield opened


def dial(listener: Listener) -> socket.socket:
    return socket.create_connection(listener.getsockname(), 5)


def accept(listener: Listener) -> connections.ClientConnection:
    accepted = eventually(lambda: try_to_accept(listener))
    assert isinstance(accepted, connections.ClientConnection)
    return accepted


def try_to_accept(listener: Listener) -> socket.socket | None:
    with contextlib.suppress(BlockingIOError):
        return listener.accept()[0]
    return None


def test_the_oldest_idle_connection_makes_room(listener: Listener) -> None:
    with ExitStack() as kept:
        accepted = []
        for _ in range(4):
            kept.enter_context(dial(listener))
            accepted.append(accept(listener))
        accepted[0].busy = 1
        kept.enter_context(dial(listener))
        with pytest.raises(BlockingIOError):
            listener.accept()
        # The event loop reads the end of file and closes the connection.
        assert [one.recv(1) for one in accepted[1:2]] == [b""]
        accepted[1].close()
        accepted.append(accept(listener))
        for one in accepted:
            one.close()


def test_without_an_idle_connection_a_new_one_is_refused(listener: Listener) -> None:
    with ExitStack() as kept:
        for _ in range(4):
            kept.enter_context(dial(listener))
            kept.enter_context(accept(listener)).busy = 1
        late = kept.enter_context(dial(listener))
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        with contextlib.suppress(ConnectionResetError):
            assert late.recv(1) == b""


def test_without_descriptors_accept_is_not_retried_at_once(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def exhausted(_: socket.socket) -> None:
        tries.append(1)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket.socket, "accept", exhausted)
    with pytest.raises(OSError, match="Too many"):
        listener.accept()
    for _ in range(10):
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert len(tries) == 1


def test_shares_of_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    with Listener() as tcp, Listener() as other, Listener(socket.AF_UNIX) as unix:
        shares = {1024: (128, 128, 384), 16: (8, 8, 8), 10**6: (4096, 4096, 4096)}
        for limit, expected in {**shares, -1: (4096, 4096, 4096)}.items():
            monkeypatch.setattr("resource.getrlimit", lambda _, n=limit: (n, n))
            connections.set_limits([tcp, other, unix])
            assert (tcp.limit, other.limit, unix.limit) == expected
