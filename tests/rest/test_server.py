"""Requests from the documentation of the replaced daemon, and HTTP's rules for all routes."""

import json
import re
import socket
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from shctl.cli.main import root
from shctl.commands.base import LocalCommand
from shctl.commands.option_kinds import LocalOption
from shctl.common.errors import ShctlError
from shctl.rest.access import Authenticator
from shctl.rest.route import Page, Route
from shctl.rest.runner import CommandRunner
from shctl.server import ROUTES, Server
from tests.guests import End, boot_sector, kernel
from tests.install.treeparts import images
from tests.install.treeserver import KERNEL, TreeServer
from tests.installations import log_of
from tests.rest_server import Client, Reply, Running, serving
from tests.support import eventually, ok

MIRROR = "gb.archive.ubuntu.com"
TREE = "/ubuntu/dists/xenial/main/installer-amd64"
HOST_EXAMPLE = b"""\
{
  "memory":512,
  "disks":[
    8
  ],
  "networks":[
    "ns_example_com_vlan_10"
  ],
  "install":true,
  "location":"http://gb.archive.ubuntu.com/ubuntu/dists/xenial/main/installer-amd64"
}
"""
NETWORK_EXAMPLE = b"""\
{
  "bridge":"br0",
  "vlan":10
}
"""


class Mirror(TreeServer):
    """Serve the mirror of the example, under the same name and port, on this machine."""

    def server_bind(self) -> None:
        self.server_address = ("127.0.0.1", 80)
        super().server_bind()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """Serve the example's tree, with an installer that powers off at once."""
    from threading import Thread

    hosts = Path("/etc/hosts")
    names = hosts.read_text()
    hosts.write_text(f"{names}127.0.0.1 {MIRROR}\n")
    installer = kernel("The installer says hello", End.POWER_OFF, installs=boot_sector("From disk"))
    with Mirror() as server:
        files = images(f"{TREE}/current/images/", "ubuntu")
        server.files = {path: installer if data == KERNEL else data for path, data in files.items()}
        sums = f"{TREE}/current/images/SHA256SUMS"
        server.files.pop(sums)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()
    hosts.write_text(names)


@pytest.mark.hypervisor
def test_the_replaced_daemons_requests(
    client: Client, mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each documented request with each documented status, in a realistic order."""
    del mirror
    results: list[tuple[str, str, int]] = []

    def ask(line: str, status: int, body: bytes | None = None) -> Reply:
        method, _, path = line.removesuffix(" HTTP/1.1").partition(" ")
        reply = client.ask(method, path, body)
        results.append((line, body.decode().replace("\n", "") if body else "", reply.status))
        assert reply.status == status, reply
        return reply

    host, network = "/hosts/ns.example.com", "/networks/ns_example_com_vlan_10"
    ask(f"POST {network}", 201, NETWORK_EXAMPLE)
    ask(f"POST {network}", 409, NETWORK_EXAMPLE)
    ask(f"POST {network}", 400, b'{"bridge":"br0"}')
    ask("POST /hosts/ns.example.com/networks/managment-network", 201, NETWORK_EXAMPLE)
    created = ask("POST /hosts/ns.example.com/ HTTP/1.1", 201, HOST_EXAMPLE)
    assert created.headers["location"] == host
    ask("POST /hosts/ns.example.com/ HTTP/1.1", 409, HOST_EXAMPLE)
    ask(f"POST {host}", 400, b'{"memory":512')
    ask(f"POST {host}", 400, b'{"memory":512}')
    eventually(lambda: client.ok("GET", host)["install"]["phase"] == "installed")
    assert "The installer says hello" in log_of("ns.example.com")
    ask(f"PUT {host}/start", 204)
    ask("PUT /hosts/nobody/start", 404)
    (listed,) = [row for row in ask("GET /hosts", 200).json if row["name"] == "ns.example.com"]
    shown = ask(f"GET {host}", 200).json
    assert {"id": str, "name": str, "state": str} == {key: type(v) for key, v in listed.items()}
    assert {key: shown[key] for key in listed} == listed
    ask("GET /hosts/nobody", 404)
    rows = {row["name"]: row for row in ask("GET /networks", 200).json}
    assert rows["managment-network"] == {
        "name": "managment-network", "state": "active", "autostart": "yes", "persistent": "yes",
    }  # fmt: skip
    ask(f"GET {network}", 200)
    ask("GET /networks/nobody", 404)
    ask(f"DELETE {host}", 204)
    ask(f"DELETE {host}", 404)
    ask(f"DELETE {network}", 204)
    ask(f"DELETE {network}", 404)
    ask("DELETE /networks/managment-network", 204)
    lines = [f"  {status}  {line} {body}"[:118] for line, body, status in results]
    with capsys.disabled():
        print("\n\nrequests of the replaced daemon's document", *lines, sep="\n")  # noqa: T201


@pytest.mark.hypervisor
def test_every_path_with_a_trailing_slash(client: Client) -> None:
    for path in ("/hosts", "/networks", "/doctor", "/healthz", "/docs", "/openapi.json"):
        assert client.ask("GET", f"{path}/").status == 200
    assert client.ask("GET", "/hosts/nobody/").status == 404
    assert client.ask("PUT", "/hosts/nobody/start/").status == 404


@pytest.mark.hypervisor
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/hosts", {"GET"}),
        ("TRACE", "/hosts/web1", {"GET", "POST", "PATCH", "DELETE"}),
        ("GET", "/hosts/web1/start", {"PUT"}),
        ("OPTIONS", "/networks/a", {"GET", "POST", "DELETE"}),
        ("TRACE", "/", {"GET"}),
        ("POST", "/healthz", {"GET"}),
    ],
)
def test_wrong_method(client: Client, method: str, path: str, allowed: set[str]) -> None:
    reply = client.ask(method, path)
    assert reply.status == 405
    assert reply.is_problem
    assert reply.json["detail"].endswith("; GET /openapi.json lists the routes")
    head = {"HEAD"} if "GET" in allowed else set()
    assert set(reply.headers["allow"].replace(" ", "").split(",")) == allowed | head


@pytest.mark.hypervisor
@pytest.mark.parametrize(
    "path", ["/nothing", "/hosts/a/b", "/hosts//start", "/Hosts", "/hosts/a/start/now", "//hosts"]
)
def test_no_such_path(client: Client, path: str) -> None:
    reply = client.ask("GET", path)
    assert reply.status == 404
    assert reply.is_problem
    assert reply.json["detail"] == "there is no such path; GET /openapi.json lists the routes"


@pytest.mark.hypervisor
def test_every_response_has_security_headers(client: Client) -> None:
    for path in ("/", "/hosts", "/nothing", "/docs", "/metrics"):
        headers = client.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert len(headers["x-request-id"]) == 16
        assert "server" not in headers


@pytest.mark.hypervisor
def test_head_is_get_without_the_body(client: Client) -> None:
    reply = client.ask("HEAD", "/hosts")
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.hypervisor
def test_name_with_special_characters(client: Client) -> None:
    reply = client.ask("GET", "/hosts/na%C3%AFve%20%24%28id%29")
    assert reply.status == 404
    assert "naïve $(id)" in reply.json["detail"]
    created = client.ask("POST", "/networks/a%2Eb", {"bridge": "br0", "vlan": 30})
    assert unquote(created.headers["location"]) == "/networks/a.b"
    client.ok("DELETE", "/networks/a.b")


@pytest.mark.hypervisor
def test_parameters_only_where_they_belong(client: Client) -> None:
    for method, path, body in (
        ("GET", "/hosts", b"{}"),
        ("GET", "/hosts?x=1", None),
        ("DELETE", "/hosts/nobody", b"{}"),
        ("POST", "/networks/a?vlan=1", b'{"bridge":"br0","vlan":1}'),
        ("PUT", "/hosts/nobody/start?force=true", None),
        ("DELETE", "/hosts/nobody?if_exists=1", None),
        ("DELETE", "/hosts/nobody?yes=true", None),
        ("DELETE", "/hosts/nobody?if_exists=true&if_exists=true", None),
        ("GET", "/hosts/nobody/wait?for=running&timeout=x", None),
        ("GET", "/hosts/nobody/wait?for=dinner", None),
        ("GET", "/hosts/nobody/wait?condition=running", None),
        ("GET", "/hosts/nobody/wait", None),
        ("GET", "/hosts/nobody/wait?for=%FF", None),
        ("GET", "/hosts/nobody/wait?for", None),
        ("GET", "/hosts/nobody/wait?for=running&timeout=9999", None),
    ):
        reply = client.ask(method, path, body)
        assert (reply.status, reply.is_problem) == (400, True), (method, path, reply)
    assert client.ask("DELETE", "/hosts/nobody?if_exists=true").status == 204
    assert client.ask("DELETE", "/networks/nobody?if_exists=true").status == 204


@pytest.mark.hypervisor
def test_absolute_url_in_the_request_line(client: Client) -> None:
    assert client.ask("GET", "http://localhost/networks/vlan10").json["name"] == "vlan10"
    assert client.ask("GET", "HTTP://localhost").json["name"] == "shctl"


@pytest.mark.hypervisor
def test_messages_name_json_keys(client: Client) -> None:
    """Commands in messages keep their form; some have no equivalent request."""
    detail = client.ask("POST", "/networks/vlan10", {"bridge": "br0", "vlan": 10}).json["detail"]
    assert "if_not_exists keeps it" in detail
    assert "--" not in detail
    described = json.dumps(client.ask("GET", "/openapi.json").json)
    assert "--" not in described


@pytest.mark.hypervisor
def test_settings_file_applies_to_the_server(tmp_path: Path) -> None:
    settings = tmp_path / "shctl.toml"
    settings.write_text("cpus = 3\nwait_timeout = 0\n")
    with serving(tmp_path, SHCTL_CONFIG=str(settings)) as running:
        client = running.client
        body = client.ok("GET", "/openapi.json")["paths"]["/hosts/{name}"]["post"]["requestBody"]
        properties = body["content"]["application/json"]["schema"]["properties"]
        assert properties["cpus"]["default"] == 3
        made = client.ok(
            "POST", "/hosts/web1", {"memory": 64, "disks": [1], "networks": ["vlan10"]}
        )
        assert made["cpus"] == 3
        assert client.ask("GET", "/hosts/web1/wait?for=running").status == 504
        client.ok("DELETE", "/hosts/web1")


@pytest.mark.hypervisor
def test_wait(client: Client) -> None:
    ok(*"hosts create web1 --memory 64 --disk 1 --network vlan10".split())
    assert client.ok("GET", "/hosts/web1/wait?for=stopped&timeout=1")["state"] == "shut off"
    reply = client.ask("GET", "/hosts/web1/wait?for=running&timeout=0.2")
    assert (reply.status, reply.is_problem) == (504, True)
    assert client.ask("GET", "/hosts/web1/wait?for=installed").status == 409
    client.ok("DELETE", "/hosts/web1")


@pytest.mark.hypervisor
def test_log_is_text(client: Client) -> None:
    ok(*"hosts create web1 --memory 64 --disk 1 --network vlan10".split())
    reply = client.ask("GET", "/hosts/web1/log")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    client.ok("DELETE", "/hosts/web1")


@pytest.mark.hypervisor
def test_health_and_numbers(client: Client) -> None:
    assert client.ok("GET", "/healthz") == {"libvirt": True, "openvswitch": True}
    assert client.ok("GET", "/")["name"] == "shctl"
    ok(*"hosts create web1 --memory 64 --disk 1 --network vlan10".split())
    text = client.ask("GET", "/metrics").body.decode()
    assert 'shctl_hosts{state="shut off"} 1.0' in text
    assert 'shctl_memory_bytes{kind="used"} 0.0' in text
    assert 'shctl_vlans{bridge="br0"} 1.0' in text
    assert 'shctl_pool_bytes{kind="available",pool="shctl"}' in text
    assert re.search('shctl_info{.*openvswitch="[0-9.]+".*} 1.0', text)
    assert 'shctl_requests_total{method="GET",route="/healthz",status="200"}' in text
    assert "shctl_request_duration_seconds_bucket" in text
    client.ok("DELETE", "/hosts/web1")


@pytest.mark.hypervisor
def test_both_versions_of_http(server: Running) -> None:
    """The server responds to HTTP/2's connection preface with its settings (RFC 9113)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.socket))
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        assert connection.recv(9)[3] == 4


@pytest.mark.hypervisor
def test_request_is_logged(server: Running, client: Client) -> None:
    reply = client.ask("DELETE", "/hosts/nobody")

    def written(log: str) -> list[dict[str, object]]:
        return [x for x in server.lines(log) if x["request"] == reply.headers["x-request-id"]]

    (line,) = eventually(lambda: written("audit"))
    assert (line["who"], line["status"], line["command"]) == ("uid 0", 404, "hosts delete")
    assert line["name"] == "nobody"
    assert len(written("request")) == 1


def routed() -> Iterator[tuple[Route, list[click.Parameter]]]:
    runner = CommandRunner(click.Context(root), "test:///default")
    for route in ROUTES:
        yield route, runner.find(route.command)[0].params


def leaves(path: str, command: click.Command) -> list[str]:
    """Return the paths of the commands below a group, or that of the command itself."""
    if not isinstance(command, click.Group):
        return [path]
    ctx = click.Context(command)
    members = {name: command.get_command(ctx, name) for name in command.list_commands(ctx)}
    below = [leaves(f"{path} {name}", member) for name, member in members.items() if member]
    return list(chain(*below))


def test_every_command_has_a_route_or_is_for_terminals() -> None:
    """All commands that REST leaves out are listed here."""
    there = {route.command for route in ROUTES}
    runner = CommandRunner(click.Context(root), "test:///default")
    for name in root.list_commands(click.Context(root)):
        paths = leaves(name, runner.find(name)[0])
        missing = {p for p in paths if not isinstance(runner.find(p)[0], LocalCommand)} - there
        assert missing <= {
            "hosts adopt",
            "trees cached",
            "config show",
            "config",
            "hosts screenshot",
        }


def test_a_route_without_a_scope_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CommandRunner(click.Context(root), "test:///default")
    for rows, row in (
        ("ROUTES", Route("GET", "/new", "hosts list", 200, "", 8)),
        ("PAGES", Page("/new", "everyone", "about", "Be new.")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"shctl.server.{rows}", (row,))
            with pytest.raises(ShctlError, match="GET /new has no scope"):
                Server(runner, Authenticator(trusted=True))


def test_terminal_options_are_not_in_rest() -> None:
    runner = CommandRunner(click.Context(root), "test:///default")
    for route, params in routed():
        local = {param.name for param in params if isinstance(param, LocalOption)}
        assert not local & set(runner.parameters(route))
