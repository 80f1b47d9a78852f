"""R42: no error ends the thread that advances installations."""

import errno
import logging
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from shctl.common.errors import Unreachable
from shctl.hosts import installation
from shctl.hypervisor import binding
from shctl.hypervisor.connection import Hypervisor
from shctl.rest import background
from shctl.rest.http import sockets
from tests.support import HANG


def test_r42_supervision_survives_every_exception(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [RuntimeError("no thread"), OSError(24, "too many"), MemoryError(), SystemExit(3),
                Unreachable("libvirt is away"), KeyError("x")]  # fmt: skip
    left = list(failures)
    over = threading.Event()

    def advance_all(*_: object) -> list[str]:
        if not left:
            over.set()
            threading.Event().wait()
        raise left.pop(0)

    monkeypatch.setattr(installation, "advance_all", advance_all)
    monkeypatch.setattr(background, "ACTIVE_INTERVAL", 0.01)
    background.start_supervision(Hypervisor("test:///default"))
    assert over.wait(HANG)
    assert len(caplog.records) == len(failures)
    # Only unexpected errors are logged with a traceback.
    assert [bool(record.exc_info) for record in caplog.records] == [True] * 4 + [False, True]


def test_r42_one_host_does_not_delay_others(monkeypatch: pytest.MonkeyPatch) -> None:
    advanced: list[str] = []
    failed: list[tuple[str, str]] = []

    def advance(_: Any, name: str, *, timeout: float) -> None:
        assert timeout == 0, "another process may hold its lock for long"
        if name == "b":
            raise ValueError("its XML is strange")
        advanced.append(name)

    hypervisor: Any = SimpleNamespace(domains=lambda: [SimpleNamespace(name=n) for n in "abc"])
    monkeypatch.setattr(installation, "advance", advance)
    still = installation.advance_all(hypervisor, lambda n, error: failed.append((n, str(error))))
    assert (advanced, still, failed) == (["a", "c"], ["b"], [("b", "its XML is strange")])


def test_r42_events_of_libvirt_survive_failures(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []
    over = threading.Event()

    def once() -> None:
        calls.append(1)
        if len(calls) == 3:
            over.set()
            threading.Event().wait()
        raise binding.api.libvirtError("poll failed")

    monkeypatch.setattr(binding.api, "virEventRunDefaultImpl", once)
    monkeypatch.setattr(binding, "EVENT_FAILED", 0.01)
    thread = threading.Thread(target=binding._run_event_loop, daemon=True)
    thread.start()
    assert over.wait(HANG)
    assert [record.name for record in caplog.records] == ["libvirt", "libvirt"]
    assert caplog.records[0].levelno == logging.ERROR


def test_r42_heartbeat_outlives_a_lack_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without heartbeats, systemd would kill a server that still works."""
    tried: list[object] = []

    def refuse(*arguments: object) -> socket.socket:
        tried.append(arguments)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setattr(socket, "socket", refuse)
    sockets.notify("WATCHDOG=1")
    assert len(tried) == 1
