"""The two faces, one after the other for every test of this directory."""

from collections.abc import Iterator

import pytest

from tests.frontends.frontend import CommandLine, Face, Rest
from tests.rest_server import serving
from tests.support import prepare


@pytest.fixture(scope="module", params=["command line", "REST"])
def face(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Face]:
    """Return a face of shctl."""
    prepare()
    if request.param == "command line":
        yield CommandLine()
        return
    with serving(tmp_path_factory.mktemp("face")) as running:
        yield Rest(running.client)
