"""A request or a command line overrides the defaults in shctl.toml."""

from collections.abc import Iterator

import pytest

from tests.rest_server import Client, serving
from tests.support import prepare

pytestmark = pytest.mark.hypervisor

TEXT = """
[defaults.hosts.create]
memory = 64
disk = [1]
network = ["vlan10"]
autostart = true
start = true
wait = true
[defaults.networks.create]
bridge = "br0"
vlan = 3300
trunk = [3309]
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    prepare()
    directory = tmp_path_factory.mktemp("defaults")
    file = directory / "shctl.toml"
    file.write_text(TEXT)
    with serving(directory, SHCTL_CONFIG=str(file)) as running:
        yield running.client


def test_false_and_empty_lists_override(client: Client) -> None:
    made = client.ask("POST", "/hosts/usual", {"autostart": False, "start": False})
    assert (made.status, made.json["autostart"], made.json["state"]) == (201, False, "shut off")
    assert client.ask("DELETE", "/hosts/usual").status == 204
    refused = client.ask("POST", "/hosts/usual", {"disks": []})
    assert (refused.status, refused.json["field"]) == (400, "disks")
    made = client.ask("POST", "/networks/usual", {"trunk": []})
    assert (made.status, made.json["trunk"]) == (201, [])
    assert client.ask("DELETE", "/networks/usual").status == 204


def test_options_of_the_command_line_are_not_for_requests(client: Client) -> None:
    """A default of wait would otherwise refuse every request without a start."""
    assert client.ask("POST", "/hosts/usual", {"start": False}).status == 201
    assert client.ask("DELETE", "/hosts/usual").status == 204
