"""The marker `hypervisor`: such tests must leave nothing behind; others reach no hypervisor.

Tests with the marker run only inside tools/throwaway, as `make test` does.
"""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator

import pytest

from shctl.common import files
from tests import guard, leftovers
from tests.installations import Trees, serving
from tests.kill_points import Forker, forker
from tests.leftovers import KEPT, Thing
from tests.support import prepare

WAIT = 5  # seconds; links go a moment after their domain
IN_THROWAWAY = "SHCTL_THROWAWAY" in os.environ
# Fixtures that need a hypervisor: tests that use them get the marker.
NEEDING = {"shctl", "snapshot", "vlan10"}

pytest_plugins = ["tests.scoreboard"]

_temporary = tempfile.TemporaryDirectory(prefix="hypothesis-")
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", _temporary.name)

failed: set[str] = set()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test that uses a hypervisor through a fixture."""
    if NEEDING & set(getattr(item, "fixturenames", ())):
        item.add_marker("hypervisor")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to touch the machine's own hypervisor."""
    if not IN_THROWAWAY and any(map(needs_hypervisor, session.items)):
        raise pytest.UsageError(
            "some of these tests need a hypervisor of their own: run them with"
            " `tools/throwaway .venv/bin/python -m pytest`, or leave them out with"
            " `-m 'not hypervisor'`"
        )


def needs_hypervisor(item: pytest.Item) -> bool:
    return item.get_closest_marker("hypervisor") is not None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record failures: leftovers of a failed test are not reported."""
    if report.failed:
        failed.add(report.nodeid)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare the hypervisor before and after a test; stop unit tests from reaching one."""
    check = _hypervisor_unchanged if needs_hypervisor(request.node) else _unit_test
    yield from check(request.node.nodeid)


def _unit_test(_nodeid: str) -> Iterator[None]:
    with guard.unit_test(), pytest.MonkeyPatch.context() as patch:
        # Without root's capabilities shctl assumes that it is the service, whose /tmp is private.
        patch.setattr(files, "_is_confined", lambda: False)
        yield


def _hypervisor_unchanged(nodeid: str) -> Iterator[None]:
    """Fail a test that leaves something behind or removes something; clean up after it."""
    leftovers.restart_daemons()  # a module's teardown may have failed
    before = leftovers.snapshot()
    yield
    dead = leftovers.restart_daemons()
    passed = nodeid not in failed
    difference = leftovers.wait_for_difference(before, WAIT if passed else 0)
    # Domains come before the volumes and ports that they use.
    for kind, name in sorted(difference - before):
        leftovers.remove(kind, name)
    if passed:
        assert not difference, f"left behind or removed: {sorted(difference)}"
        assert not dead, f"daemons not running: {dead}"


@pytest.fixture(scope="session")
def vlan10() -> None:
    """Create network vlan10 and the pool for the whole run."""
    prepare()


@pytest.fixture
def trees() -> Iterator[Trees]:
    """Serve installation trees to a test's hosts."""
    with serving() as trees:
        yield trees


@pytest.fixture
def snapshot() -> Callable[[], set[Thing]]:
    """Return a function that lists what exists now, to compare within a test."""
    return lambda: leftovers.snapshot() - KEPT


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Restore the signal handlers, which the command replaces."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    # pytest-xdist may run tests in another thread, where the command has replaced none.
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.fixture(scope="module")
def shctl() -> Iterator[Forker]:
    """Return the process that runs commands in forks of itself."""
    prepare()
    with forker() as found:
        yield found
