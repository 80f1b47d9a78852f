"""Run each test of this directory through the command line and through REST."""

from collections.abc import Iterator

import pytest

from tests.frontends.frontend import CommandLine, Frontend, Rest
from tests.rest_server import serving
from tests.support import prepare


@pytest.fixture(scope="module", params=["command line", "REST"])
def frontend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Frontend]:
    """Return a frontend of shctl."""
    prepare()
    if request.param == "command line":
        yield CommandLine()
        return
    with serving(tmp_path_factory.mktemp("frontend")) as running:
        yield Rest(running.client)
