"""Servers for the tests of this directory."""

from collections.abc import Iterator

import pytest

from tests.rest_server import Client, Running, serving
from tests.support import prepare


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a server on a Unix socket for the tests of a module."""
    prepare()
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Client:
    """Return a client of the server, with full access."""
    return server.client


@pytest.fixture(scope="module")
def tree() -> Iterator[str]:
    """Serve an installer that never ends; return the tree's location."""
    from tests import installations
    from tests.guests import End

    with installations.serving() as trees:
        yield trees.of(End.HALT)
