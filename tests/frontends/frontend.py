"""Run commands through the command line or REST: command, name and parameters; data or an error."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from urllib.parse import quote, urlencode

from tests.rest_server import Client
from tests.support import run

# Exit code and HTTP status of each failure, as documented.
EXITS = {400: 2, 404: 3, 409: 4, 504: 5, 503: 6, 502: 7, 507: 8, 500: 1}


@dataclass(frozen=True)
class Answer:
    """Data, or an error; `field` names the invalid parameter."""

    data: Any = None
    status: int = 200
    field: str | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.status == 200


class Frontend(Protocol):
    """A way to run a command."""

    def run(self, command: str, /, *names: str, **given: Any) -> Answer:
        """Run "hosts create" and so on, on a host or a part of it; keys are those of JSON."""


def _failed(problem: dict[str, Any]) -> Answer:
    return Answer(None, problem["status"], problem.get("field"), problem["detail"])


class CommandLine:
    """The command line, with JSON on stdout and stderr."""

    options: ClassVar = {"disks": "disk", "networks": "network", "for": "for"}

    def run(self, command: str, /, *names: str, **given: Any) -> Answer:
        """Run a process."""
        patterns = given.pop("pattern", [])
        names = (*names, *(patterns if isinstance(patterns, list) else [patterns]))
        words = [word for key, value in given.items() for word in self._words(key, value)]
        # False means the option's opposite, where the command has one.
        if command == "hosts set" and given.get("autostart") is False:
            words += ["--no-autostart"]
        end = ["--", *names] if names else []
        # REST asks for no confirmation.
        words += ["--yes"] if command.endswith((" delete", " disks remove")) else []
        done = run("-o", "json", *command.split(), *words, *end)
        if done.code == 0:
            return Answer(json.loads(done.out) if done.out else None)
        assert done.out == ""
        assert done.err.count("\n") == 1
        problem = json.loads(done.err)
        assert done.code == EXITS[problem["status"]]
        return _failed(problem)

    def _words(self, key: str, value: Any) -> list[str]:
        option = f"--{self.options.get(key, key).replace('_', '-')}"
        if isinstance(value, bool):
            return [option] if value else []
        return [f"{option}={one}" for one in (value if isinstance(value, list) else [value])]


class Rest:
    """The REST server, with a table of routes that is independent of the server's own."""

    requests: ClassVar = {
        "hosts list": "GET /hosts",
        "hosts show": "GET /hosts/{}",
        "hosts create": "POST /hosts/{}",
        "hosts set": "PATCH /hosts/{}",
        "hosts delete": "DELETE /hosts/{}",
        "hosts disks list": "GET /hosts/{}/disks",
        "hosts disks show": "GET /hosts/{}/disks/{}",
        "hosts disks add": "POST /hosts/{}/disks",
        "hosts disks resize": "PATCH /hosts/{}/disks/{}",
        "hosts disks remove": "DELETE /hosts/{}/disks/{}",
        "hosts interfaces list": "GET /hosts/{}/interfaces",
        "hosts interfaces show": "GET /hosts/{}/interfaces/{}",
        "hosts interfaces add": "POST /hosts/{}/interfaces",
        "hosts interfaces set": "PATCH /hosts/{}/interfaces/{}",
        "hosts interfaces remove": "DELETE /hosts/{}/interfaces/{}",
        "hosts start": "PUT /hosts/{}/start",
        "hosts stop": "PUT /hosts/{}/stop",
        "hosts reboot": "PUT /hosts/{}/reboot",
        "hosts wait": "GET /hosts/{}/wait",
        "hosts log": "GET /hosts/{}/log",
        "networks list": "GET /networks",
        "networks show": "GET /networks/{}",
        "networks create": "POST /networks/{}",
        "networks delete": "DELETE /networks/{}",
        "status": "GET /status",
        "doctor": "GET /doctor",
        "trees probe": "GET /trees?location={}",
        "trees check": "POST /trees/check",
    }

    def __init__(self, client: Client) -> None:
        self._client = client

    @contextmanager
    def follow(self, path: str) -> Iterator[Iterator[str]]:
        """Yield the lines of a response that goes on."""
        connection = self._client.connection()
        connection.request("GET", path)
        try:
            yield (line.decode() for line in connection.getresponse())
        finally:
            connection.close()

    def run(self, command: str, /, *names: str, **given: Any) -> Answer:
        """Send a request."""
        method, _, path = self.requests[command].partition(" ")
        path, body = path.format(*(quote(name, safe="") for name in names)), None
        if method in ("POST", "PUT", "PATCH"):
            path += "?dry_run=true" if given.pop("dry_run", False) else ""
            body = given
        elif given:
            path += "?" + urlencode({key: _text(value) for key, value in given.items()}, doseq=True)
        reply = self._client.ask(method, path, body)
        if reply.status >= 400:
            assert reply.is_problem
            return _failed(reply.json)
        if reply.headers.get("content-type", "").startswith("text/plain"):
            return Answer(reply.body.decode())
        return Answer(reply.json if reply.body else None)


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(part) for part in value]
    return json.dumps(value) if isinstance(value, bool) else str(value)
