"""The server uses the defaults and profiles of its own settings."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rest_server import Client, serving
from tests.support import prepare, run

pytestmark = pytest.mark.hypervisor
SETTINGS = """
[defaults.hosts.create]
memory = 64
network = ["vlan10"]
[profiles.two]
disk = [1, 2]
cpus = 2
"""


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    prepare()
    directory = tmp_path_factory.mktemp("configured")
    file = directory / "shctl.toml"
    file.write_text(SETTINGS)
    command = (sys.executable, "-m", "shctl", "--config", str(file))
    with serving(directory, command=command) as running:
        yield running.client


def test_defaults_and_profiles(configured: Client) -> None:
    planned = configured.ok("POST", "/hosts/new?dry_run=true", {"profile": "two"})
    assert [disk["size"] for disk in planned["disks"]] == [1, 2]
    assert planned["interfaces"][0]["network"] == "vlan10"
    given = {"profile": "two", "disks": [3]}
    planned = configured.ok("POST", "/hosts/new?dry_run=true", given)
    assert [disk["size"] for disk in planned["disks"]] == [3]


def test_missing_and_unknown(configured: Client) -> None:
    missing = configured.ask("POST", "/hosts/new", {})
    assert (missing.status, missing.json["field"]) == (400, "disks")
    unknown = configured.ask("POST", "/hosts/new", {"profile": "none"})
    assert (unknown.status, unknown.json["field"]) == (400, "profile")
    assert "two" in unknown.json["detail"]


def test_server_does_not_start_with_an_invalid_profile(tmp_path: Path) -> None:
    file = tmp_path / "shctl.toml"
    file.write_text("[profiles.bad]\nmemroy = 1\n")
    done = run("--config", str(file), "serve", "--socket", str(tmp_path / "socket"))
    assert (done.code, f"{file}: profiles.bad.memroy" in done.err) == (2, True)
