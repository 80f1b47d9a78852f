"""Scoreboard R43: the server serves other clients while it reads a hostile tree."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.install import treeserver
from tests.install.test_text_files import BOMB, WORST
from tests.install.treeparts import images
from tests.install.treeserver import TreeServer
from tests.rest_server import Client
from tests.scoreboard import P99, Figures, rounds

pytestmark = pytest.mark.hypervisor

TOP = "/installer-amd64/"
# Those that take a parser longest.
NAMES = ["checksum and blanks", "blanks within a key", "many sums", "many sections", "many keys"]


@pytest.fixture
def trees() -> Iterator[TreeServer]:
    with treeserver.running() as server:
        files = images("images/", "debian")
        server.files |= {TOP + path: content for path, content in files.items()}
        yield server


def serve_text(trees: TreeServer, body: bytes) -> None:
    for path in (".treeinfo", "current/images/MANIFEST", "images/SHA256SUMS"):
        trees.files[TOP + path] = body


@pytest.mark.parametrize("name", NAMES)
def test_r43_others_are_served_meanwhile(
    name: str, client: Client, trees: TreeServer, figures: Figures
) -> None:
    serve_text(trees, WORST[name][0])
    times = []
    with ThreadPoolExecutor(1) as pool:
        path = f"/trees?location={trees.url}{TOP}"
        asked = [pool.submit(client.ok, "GET", path) for _ in range(rounds(20, 1))]
        while not all(future.done() for future in asked):
            begin = time.monotonic()
            assert client.ask("GET", "/healthz").status == 200
            times.append(time.monotonic() - begin)
    assert {future.result()["kind"] for future in asked} == {"debian"}
    figures.limit(P99, round(sorted(times)[len(times) * 99 // 100] * 1000), 100, "ms")


def test_r43_bomb_is_refused(client: Client, trees: TreeServer) -> None:
    serve_text(trees, BOMB)
    reply = client.ask("GET", f"/trees?location={trees.url}{TOP}")
    assert (reply.status, reply.is_problem) == (502, True)
    assert "longer than the limit" in reply.json["detail"]
