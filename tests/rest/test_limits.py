"""Limits of concurrent commands."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shctl.common import timeout
from shctl.common.errors import Unreachable
from shctl.rest import limits
from shctl.rest.limits import ConcurrencyLimit, TooManyRequests
from tests.support import HANG, eventually


def test_r44_failed_start_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = ConcurrencyLimit(total=2, per_resource=2, per_caller=2, queue=1)
    with monkeypatch.context() as patched:
        patched.setattr(timeout, "MOST_HUNG", 0)
        for _ in range(4):
            with pytest.raises(Unreachable, match="calls are already hanging"):
                limit.run("hosts/a", "token t", 5, lambda: 3)
    assert limit.run("hosts/a", "token t", 5, lambda: 3) == 3


@contextmanager
def running(limit: ConcurrencyLimit, resource: str, caller: str) -> Iterator[None]:
    """Run a command until the block ends."""
    started, end = threading.Event(), threading.Event()

    def command() -> None:
        started.set()
        end.wait(HANG)

    thread = threading.Thread(target=limit.run, args=(resource, caller, HANG, command))
    thread.start()
    assert started.wait(HANG)
    try:
        yield
    finally:
        end.set()
        thread.join(HANG)


def test_caller_over_the_limit_is_refused_and_others_are_not() -> None:
    limit = ConcurrencyLimit(total=4, per_resource=4, per_caller=1, queue=4)
    with running(limit, "hosts/a", "token t"):
        with pytest.raises(TooManyRequests) as caught:
            limit.run("hosts/b", "token t", HANG, lambda: 3)
        assert "token t already has 1 concurrent requests" in caught.value.detail
        assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "5"})
        assert limit.run("hosts/a", "token u", HANG, lambda: 3) == 3
    assert limit.run("hosts/a", "token t", HANG, lambda: 3) == 3


def test_requests_for_one_resource_wait_and_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUEUE_TIMEOUT", 0.01)
    limit = ConcurrencyLimit(total=4, per_resource=1, per_caller=4, queue=4)
    with running(limit, "hosts/a", "token t"):
        with pytest.raises(Unreachable, match="too many requests for hosts/a are running"):
            limit.run("hosts/a", "token u", HANG, lambda: 3)
        assert limit.run("hosts/b", "token u", HANG, lambda: 3) == 3
    assert limit.run("hosts/a", "token u", HANG, lambda: 3) == 3


def test_waiting_request_runs_when_another_ends() -> None:
    limit = ConcurrencyLimit(total=1, per_resource=1, per_caller=4, queue=4)
    results: list[int] = []
    waiting = threading.Thread(
        target=lambda: results.append(limit.run("hosts/b", "token t", HANG, lambda: 3))
    )
    with running(limit, "hosts/a", "token t"):
        waiting.start()
        eventually(lambda: limit._waiting.total() == 1)
    waiting.join(HANG)
    assert results == [3]


def test_full_queue_refuses_at_once() -> None:
    limit = ConcurrencyLimit(total=1, per_resource=1, per_caller=4, queue=0)
    with (
        running(limit, "hosts/a", "token t"),
        pytest.raises(Unreachable, match="too many requests are running"),
    ):
        limit.run("hosts/b", "token t", HANG, lambda: 3)
