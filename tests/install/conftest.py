"""A tree server, a client with short timeouts, and a guard against hanging tests."""

import signal
from collections.abc import Iterator

import pytest

from shctl.install.fetch import TreeClient
from shctl.install.http.limits import Limits
from tests.install import treeserver
from tests.install.treeserver import KERNEL, TreeServer

QUICK = Limits(
    connect=0.5, stall=0.3, text_total=0.6, image_total=0.6, text_bytes=100_000, image_bytes=200_000
)


HANG = 300  # seconds; virt-install, over all its trees, takes most of a minute on a busy machine


@pytest.fixture(autouse=True)
def hang_guard() -> Iterator[None]:
    """Fail a test that hangs, and continue with the others."""

    def fail(*_: object) -> None:
        raise TimeoutError(f"the test hangs after {HANG} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(HANG)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TreeServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with treeserver.running() as server:
        server.files["/kernel"] = KERNEL
        yield server


@pytest.fixture
def client() -> Iterator[TreeClient]:
    with TreeClient(QUICK) as client:
        yield client
