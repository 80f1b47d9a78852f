"""Creating what already exists: 201 for a creation, 200 for no change."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.rest_server import Client, serving
from tests.support import prepare

pytestmark = pytest.mark.hypervisor

BODIES: dict[str, dict[str, Any]] = {
    "/hosts/twice": {"memory": 64, "disks": [1], "networks": ["vlan10"]},
    "/networks/twice": {"bridge": "br0", "vlan": 12},
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    prepare()
    with serving(tmp_path_factory.mktemp("repeated")) as running:
        yield running.client


@pytest.mark.parametrize("path", BODIES)
def test_existing_resources_return_200(client: Client, path: str) -> None:
    body = {**BODIES[path], "if_not_exists": True}
    answers = [client.ask("POST", path, body) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 200, 200]
    assert answers[0].json == answers[1].json == answers[2].json
    assert {answer.headers["location"] for answer in answers} == {path}
    assert client.ask("POST", path, BODIES[path]).status == 409
    assert client.ask("DELETE", path).status == 204


def test_the_description_says_so(client: Client) -> None:
    paths = client.ok("GET", "/openapi.json")["paths"]
    for path in ("/hosts/{name}", "/networks/{name}"):
        answers = paths[path]["post"]["responses"]
        kept, made = (answers[s]["content"]["application/json"]["schema"] for s in ("200", "201"))
        assert made in kept.get("anyOf", [kept])  # the other one is a dry run's plan
    assert "201" not in paths["/hosts/{name}"]["get"]["responses"]
