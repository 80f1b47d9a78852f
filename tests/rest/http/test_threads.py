"""The thread pool that runs requests."""

import threading
from concurrent.futures import Future
from contextvars import ContextVar

import pytest

from shctl.rest.http import threads
from shctl.rest.http.threads import RequestThreads
from tests.support import HANG, eventually

who: ContextVar[str] = ContextVar("who", default="nobody")


def running() -> int:
    return sum(thread.name == "request" for thread in threading.enumerate())


def test_no_more_than_allowed_and_none_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_TIMEOUT", 0.05)
    pool, go = RequestThreads(3), threading.Event()
    futures: list[Future[bool]] = [pool.submit(go.wait, HANG) for _ in range(8)]
    eventually(lambda: running() == 3)
    assert not any(future.done() for future in futures)
    go.set()
    assert all(future.result(HANG) for future in futures)
    eventually(lambda: running() == 0)
    assert pool.submit(lambda: 5).result(HANG) == 5


def test_threads_are_reused() -> None:
    pool = RequestThreads(8)
    assert len({pool.submit(threading.get_ident).result(HANG) for _ in range(20)}) < 8


def test_context_and_errors_are_passed_on() -> None:
    pool = RequestThreads(1)
    token = who.set("somebody")
    asked = pool.submit(who.get)
    who.reset(token)
    assert asked.result(HANG) == "somebody"
    assert pool.submit(who.get).result(HANG) == "nobody"
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result(HANG)


def test_a_thread_that_cannot_be_started_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool, done = RequestThreads(1), threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            pool.submit(done.set)
    assert pool.submit(lambda: 5).result(HANG) == 5
    assert not done.is_set()
