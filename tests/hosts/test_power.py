"""Starting, stopping and rebooting hosts on the real libvirt and QEMU."""

import json
import signal
import threading
from collections.abc import Callable

import pytest

from shctl.common import signals
from shctl.common.errors import Conflict
from shctl.hosts import power, stopping
from shctl.hypervisor.connection import Hypervisor
from shctl.networks import ports
from shctl.networks.switch import PortRow
from tests.support import (
    HANG,
    LOGS,
    URI,
    Done,
    call,
    create,
    ok,
    run,
    state,
)

pytestmark = pytest.mark.usefixtures("vlan10")


def test_power() -> None:
    """Each command reports what it did and may be repeated."""
    create("power")
    assert act("reboot").code == 4
    assert result("start") == "started"
    assert result("start") == "already running"
    assert result("reboot") == "rebooting"
    assert result("reboot", "--force") == "reset"
    assert result("stop", "--force") == "powered off"
    assert result("stop", "--force") == "already shut off"
    assert result("stop") == "already shut off"
    ok("hosts", "delete", "--yes", "power")


def act(*words: str) -> Done:
    return run("-o", "json", "hosts", *words, "power")


def result(*words: str) -> str:
    return str(act(*words).json[0]["result"])


def test_paused_host() -> None:
    create("power", "--start")
    call("virsh", "suspend", "power")
    assert state("power") == "paused"
    refused = act("stop")
    assert refused.code == 4
    assert "'shctl hosts start power' resumes it" in json.loads(refused.err)["detail"]
    assert act("reboot").code == 4
    assert result("start") == "resumed"
    assert state("power") == "running"
    ok("hosts", "delete", "--yes", "power")


def test_stop_ignored_by_the_guest() -> None:
    create("deaf", "--start")
    done = run("hosts", "stop", "deaf", "--timeout", "0.2")
    assert done.code == 5
    assert "--force powers it off" in done.err
    assert state("deaf") == "running"
    ok("hosts", "stop", "deaf", "--timeout", "0.2", "--force")
    assert state("deaf") == "shut off"
    ok("hosts", "delete", "--yes", "deaf")


@pytest.mark.parametrize("seconds", ["nan", "-1", "2x"])
def test_invalid_timeout_of_stop(seconds: str) -> None:
    assert run("hosts", "stop", "nowhere", "--timeout", seconds).code == 2


def test_transient_host_disappears_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    create("goes", "--start")
    call("virsh", "undefine", "goes")

    def wait(condition: Callable[[], bool], _seconds: float, **_: object) -> bool:
        call("virsh", "destroy", "goes")
        return condition()

    monkeypatch.setattr(stopping, "wait_until", wait)
    assert stopping.stop(Hypervisor(URI), "goes").result == "shut off"
    call("virsh", "vol-delete", "goes-sda", "shctl")
    (LOGS / "goes.log").unlink()


def test_concurrent_start_leaves_the_host_running(monkeypatch: pytest.MonkeyPatch) -> None:
    create("raced")

    def remove(_hypervisor: Hypervisor) -> list[PortRow]:
        if state("raced") == "shut off":
            call("virsh", "start", "raced")
        return []

    monkeypatch.setattr(ports, "remove_stale", remove)
    with pytest.raises(Conflict, match="already running"):
        power.start(Hypervisor(URI), "raced")
    assert state("raced") == "running"
    ok("hosts", "delete", "--yes", "raced")


def test_several_names() -> None:
    """A failure does not stop the others, and a repeated name is processed once."""
    for name in ("one", "two"):
        create(name)
    done = run("-o", "json", "hosts", "start", "one", "nowhere", "two", "one")
    assert done.code == 3
    assert [row["name"] for row in done.json] == ["one", "two"]
    assert "no host 'nowhere'" in json.loads(done.err)["detail"]
    done = run("hosts", "delete", "--yes", "nowhere", "one", "two")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert run("hosts", "show", "two").code == 3


def test_interrupt_of_a_step_does_not_wait_for_a_hung_qemu() -> None:
    create("hangs")
    host = Hypervisor(URI).domain("hangs")
    main, let_go = threading.get_ident(), threading.Event()

    def hang() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        let_go.wait(HANG)

    before = signal.getsignal(signal.SIGINT)
    signals.install()
    with signals.deferred(), pytest.raises(KeyboardInterrupt):
        power.ask_qemu(host, hang)
    signal.signal(signal.SIGINT, before)
    let_go.set()
    ok("hosts", "delete", "--yes", "hangs")
