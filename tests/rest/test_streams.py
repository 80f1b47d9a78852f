"""Responses that go on: events and logs that are followed."""

import http.client
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.rest_server import PORT, TOKENS, Client, Running, make_certificates, make_token, serving
from tests.support import call, create, daemon, define, eventually, ok, qemu_pid

pytestmark = [pytest.mark.hypervisor, pytest.mark.usefixtures("vlan10")]
FOLLOWERS = 200


class Follower:
    """An open response, whose lines are read one by one."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.response = connection.getresponse()
        self.status = self.response.status

    def event(self) -> dict[str, Any]:
        """Return the next event; its fields have to agree with its data."""
        fields: dict[str, str] = {}
        while (line := self.line()) != "\n" or not fields:
            assert line, "the stream has ended"
            if not line.startswith((":", "\n")):
                name, _, fields[name] = line.rstrip("\n").partition(": ")
        data: dict[str, Any] = json.loads(fields["data"])
        assert (fields["id"], fields["event"]) == (data["id"], data["event"])
        return data

    def until(self, event: str) -> list[str]:
        """Return the events up to one of this kind."""
        found: list[str] = []
        while not found or found[-1] != event:
            found.append(self.event()["event"])
        return found

    def line(self) -> str:
        return self.response.readline().decode()


@contextmanager
def following(client: Client, path: str, **headers: str) -> Iterator[Follower]:
    connection = client.connection()
    if client.token:
        headers["Authorization"] = f"Bearer {client.token}"
    connection.request("GET", path, headers=headers)
    try:
        yield Follower(connection)
    finally:
        connection.close()


def test_events_of_a_host(server: Running) -> None:
    with following(server.client, "/events?host=e1") as follower:
        assert follower.response.getheader("Content-Type") == "text/event-stream"
        create("other")
        create("e1", "--start")
        assert follower.until("host.started") == ["host.created", "host.started"]
        call("virsh", "suspend", "e1")
        call("virsh", "resume", "e1")
        ok("hosts", "set", "e1", "--memory", "96")
        os.kill(qemu_pid("e1"), signal.SIGKILL)
        found = follower.until("host.crashed")
        assert found == ["host.paused", "host.resumed", "host.changed", "host.crashed"]
        ok("hosts", "delete", "--yes", "e1", "other")
        assert follower.until("host.deleted")[-1] == "host.deleted"


def test_networks_and_other_programs(server: Running) -> None:
    with following(server.client, "/events") as follower:
        ok("networks", "create", "vlan77", "--bridge", "br0", "--vlan", "77")
        assert follower.until("network.started") == ["network.created", "network.started"]
        call("virsh", "net-destroy", "vlan77")
        ok("networks", "delete", "vlan77", "--yes")
        assert follower.until("network.deleted") == ["network.stopped", "network.deleted"]


BEGUN = (
    "<domain type='qemu'><name>e2</name><metadata><shctl:host xmlns:shctl='urn:shctl:host:1'"
    " created='2026-01-02T03:04:05Z' complete='no'/></metadata><memory unit='MiB'>64</memory>"
    "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
)


def test_a_creation_that_is_rolled_back_is_no_event(server: Running) -> None:
    with following(server.client, "/events") as follower:
        define(BEGUN)
        call("virsh", "undefine", "e2")
        create("e3")
        assert follower.event()["host"] == "e3"
    ok("hosts", "delete", "--yes", "e3")


def test_complete_after_a_restart_of_libvirtd(server: Running) -> None:
    create("e4")
    with following(server.client, "/events?host=e4") as follower:
        ok("hosts", "set", "e4", "--memory", "96")
        follower.until("host.changed")
        daemon("stop", "libvirtd")
        daemon("start", "libvirtd")
        call("virsh", "start", "e4")
        assert follower.event()["event"] == "host.started"
        ok("hosts", "delete", "--yes", "e4")
        assert follower.until("host.deleted") == ["host.stopped", "host.deleted"]


def test_resumes_after_the_last_event(server: Running) -> None:
    with following(server.client, "/events") as follower:
        create("e5")
        last = follower.event()["id"]
    ok("hosts", "delete", "--yes", "e5")
    with following(server.client, "/events", **{"Last-Event-ID": last}) as follower:
        assert follower.event()["event"] == "host.deleted"
    for wrong in ("other-1", "x", f"{last}9999999999999999", "-"):
        with following(server.client, "/events", **{"Last-Event-ID": wrong}) as follower:
            assert follower.event()["event"] == "reset"


def test_many_followers_cost_no_threads(server: Running) -> None:
    def threads() -> int:
        return len(os.listdir(f"/proc/{server.process.pid}/task"))

    with ExitStack() as stack:
        many = [stack.enter_context(following(server.client, "/events")) for _ in range(FOLLOWERS)]
        create("e6")
        assert {follower.event()["host"] for follower in many} == {"e6"}
        assert threads() < FOLLOWERS / 4
    ok("hosts", "delete", "--yes", "e6")
    # All of them are counted until they end.
    eventually(lambda: _may_follow(server.client))


def _may_follow(client: Client) -> bool:
    with ExitStack() as stack:
        again = [stack.enter_context(following(client, "/events")) for _ in range(100)]
        return {follower.status for follower in again} == {200}


def test_a_slow_follower_delays_no_other(server: Running) -> None:
    slow = server.client.connection()
    slow.request("GET", "/events")
    with following(server.client, "/events") as follower:
        create("e7")
        assert follower.event()["event"] == "host.created"
        ok("hosts", "delete", "--yes", "e7")
        assert follower.until("host.deleted")
    slow.close()


def test_head_has_no_body(server: Running) -> None:
    reply = server.client.ask("HEAD", "/events")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream")


def test_log_is_followed(server: Running) -> None:
    create("e8", "--start")
    with following(server.client, "/hosts/e8/log?follow=true&tail=1") as follower:
        assert follower.response.getheader("Content-Type") == "text/plain; charset=utf-8"
        log = Path("/var/log/shctl/console/e8.log")
        eventually(lambda: log.read_bytes().endswith(b"\n") or log.stat().st_size)
        with log.open("ab") as stream:
            stream.write(b"\nsomething new\x1b\n")
        while "something new" not in (line := follower.line()):
            assert line
        assert line == "something new\ufffd\n"
        ok("hosts", "delete", "--yes", "e8")
        while follower.line():
            pass
    assert server.client.ask("GET", "/hosts/e8/log?follow=true").status == 404


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Running, Client]]:
    certificates = make_certificates(tmp_path)
    token = make_token("reader", "read")
    try:
        with serving(tmp_path, "--listen", f"127.0.0.1:{PORT}", *certificates.options) as running:
            yield running, Client(PORT, certificates.context(), token)
    finally:
        TOKENS.unlink(missing_ok=True)


def test_a_deleted_token_ends_the_stream(tls: tuple[Running, Client]) -> None:
    _, client = tls
    with following(client, "/events") as follower:
        assert follower.status == 200
        assert client.ask("GET", "/hosts/e9/log?follow=true").status == 403
        ok("tokens", "delete", "reader")
        assert follower.response.read() == b""
    assert client.ask("GET", "/events").status == 401


def test_a_stop_ends_the_streams(tls: tuple[Running, Client]) -> None:
    running, client = tls
    with following(client, "/events") as one, following(running.client, "/events") as other:
        assert running.stop() == 0
        assert one.response.read() == other.response.read() == b""


def test_http2(tls: tuple[Running, Client]) -> None:
    _, client = tls
    argv = ["curl", "--silent", "--no-buffer", "--http2", "--insecure", "--config", "-",
            f"https://localhost:{PORT}/events"]  # fmt: skip
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdin
        assert curl.stdout
        curl.stdin.write(f'header = "Authorization: Bearer {client.token}"\n')
        curl.stdin.close()
        # Until curl follows, a host comes and goes.
        stop = threading.Event()
        thread = threading.Thread(target=_come_and_go, args=(stop,))
        thread.start()
        assert curl.stdout.readline().startswith("id: ")
        assert curl.stdout.readline().startswith("event: host.")
        stop.set()
        thread.join()
        curl.kill()


def _come_and_go(stop: threading.Event) -> None:
    while not stop.is_set():
        create("e10")
        ok("hosts", "delete", "--yes", "e10")
