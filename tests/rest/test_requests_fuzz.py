"""Random bodies and queries."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rest_server import Client
from tests.scoreboard import REFUSED, Figures, rounds

pytestmark = pytest.mark.hypervisor

LIMITS = settings(
    max_examples=rounds(1000, 60), deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
KEYS = ["memory", "disks", "networks", "cpus", "install", "location", "cmdline", "inject", "start"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
# No such network exists, so even an otherwise valid body is refused.
RIGHT = st.fixed_dictionaries(
    {"memory": st.integers(16, 64), "disks": st.just([1]), "networks": st.just(["nowhere"])}
)
CHANGES = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=9), VALUES, max_size=3)
OBJECTS = st.builds(lambda right, changes: {**right, **changes}, RIGHT, CHANGES)
BODIES = OBJECTS.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=200)
QUERY_KEYS = st.sampled_from(["for", "timeout", "location", "condition", "name"]) | st.text()


def test_r33_bodies_of_any_kind(client: Client, figures: Figures) -> None:
    before = client.ok("GET", "/hosts")

    @LIMITS
    @given(BODIES)
    def refused(body: bytes) -> None:
        reply = client.ask("POST", "/hosts/fuzz", body)
        assert (reply.status, reply.is_problem) == (400, True), reply
        figures.share(REFUSED, 1, 1)

    refused()
    assert client.ok("GET", "/hosts") == before


def test_r33_queries_of_any_kind(client: Client, figures: Figures) -> None:
    @LIMITS
    @given(
        st.sampled_from(
            ["/hosts", "/hosts/nowhere", "/hosts/nowhere/wait", "/networks", "/doctor"]
        ),
        st.dictionaries(QUERY_KEYS, SCALARS, min_size=1, max_size=3),
    )
    def refused(path: str, query: dict[str, Any]) -> None:
        pairs = [f"{_quoted(key)}={_quoted(value)}" for key, value in query.items()]
        reply = client.ask("GET", f"{path}?{'&'.join(pairs)}")
        # A wait may be valid, but the host does not exist.
        assert reply.status == 400 or (reply.status == 404 and path.endswith("wait")), reply
        assert reply.is_problem
        figures.share(REFUSED, 1, 1)

    refused()


def test_r32_paths_of_any_kind(client: Client, figures: Figures) -> None:
    @LIMITS
    @given(st.sampled_from(["GET", "DELETE"]), st.text(min_size=1, max_size=40))
    def refused(method: str, name: str) -> None:
        reply = client.ask(method, f"/hosts/{quote(name, safe='', errors='replace')}")
        assert reply.status in (400, 404, 405), reply
        assert reply.is_problem
        figures.share(REFUSED, 1, 1)

    refused()


def _quoted(value: Any) -> str:
    return quote(str(value), safe="", errors="replace")
