"""`hosts wait` for several hosts, and what Ctrl-C says."""

import signal
from collections.abc import Iterator

import pytest

from tests.support import create, finish, ok, run, spawn

pytestmark = pytest.mark.usefixtures("vlan10")


@pytest.fixture
def hosts() -> Iterator[None]:
    """Create a running host and two that are off."""
    create("one", "--start")
    create("two")
    create("three")
    yield
    ok("hosts", "delete", "--yes", "one", "two", "three")


def wait(*words: str, state: str = "running", timeout: str = "20") -> list[str]:
    return ["-o", "json", "hosts", "wait", *words, "--for", state, "--timeout", timeout]


def test_all(hosts: None) -> None:
    rows = run(*wait("two", "three", state="stopped")).json
    assert [row["name"] for row in rows] == ["two", "three"]
    # One host is an object, as ever.
    assert run(*wait("one")).json["name"] == "one"
    waiting = spawn(*wait("one", "two"))
    ok("hosts", "start", "two")
    done = finish(waiting)
    assert (done.code, [row["state"] for row in done.json]) == (0, ["running", "running"])


def test_any(hosts: None) -> None:
    assert run(*wait("two", "one", "three"), "--any").json["name"] == "one"
    waiting = spawn(*wait("two", "three", "--any"))
    ok("hosts", "start", "three")
    assert finish(waiting).json["name"] == "three"


def test_some_fail(hosts: None) -> None:
    done = run(*wait("one", "none"))
    assert (done.code, [row["name"] for row in done.json]) == (3, ["one"])
    # With --any the others may still get there.
    assert run(*wait("none", "one"), "--any").json["name"] == "one"
    done = run(*wait("none", "nothing"), "--any")
    assert (done.code, done.err.count("no host")) == (3, 2)
    late = run(*wait("two", "three", timeout="0"), "--any")
    assert (late.code, "none of the hosts two, three is running" in late.err) == (5, True)


def test_interrupt_says_how_to_come_back(hosts: None) -> None:
    waiting = spawn("--debug", "hosts", "wait", "two", "three", "--for", "running")
    assert waiting.stderr
    while "virDomainLookupByName('two')" not in waiting.stderr.readline():
        assert waiting.poll() is None
    waiting.send_signal(signal.SIGINT)
    done = finish(waiting)
    assert done.code == 130
    assert "'shctl hosts wait two three --for running' waits again" in done.err
