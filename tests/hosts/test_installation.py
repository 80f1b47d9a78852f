"""The steps from the installer's end to the boot from disk, each interrupted."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shctl.common import locks, paths
from shctl.hosts import installation, qemulog
from shctl.hypervisor.connection import Hypervisor
from shctl.xml import metadata
from tests.guests import End
from tests.installations import (
    arguments,
    boots_from_disk,
    delete,
    install_of,
    one_line,
    serving,
    starts,
    virsh,
    wait_until_off,
)
from tests.support import URI, daemon, environment, eventually, ok, run, state

pytestmark = pytest.mark.usefixtures("vlan10")

NETWORK = "once"


@pytest.fixture
def ended() -> Iterator[str]:
    """Return a host whose installer has ended, unnoticed by shctl; its network is inactive."""
    name = "ended"
    Path(f"/var/log/libvirt/qemu/{name}.log").unlink(missing_ok=True)
    ok("networks", "create", NETWORK, "--bridge", "br0", "--vlan", "30")
    with serving() as trees:
        words = f"hosts create {name} --memory 64 --disk 1 --network {NETWORK} --install --location"
        ok(*words.split(), trees.of(End.RESET))
    wait_until_off(name)
    virsh("net-destroy", NETWORK)
    yield name
    delete(name)
    ok("networks", "delete", "--yes", NETWORK)


def test_failed_start_is_reported_and_retried(ended: str) -> None:
    done = run("hosts", "wait", ended, "--for", "installed")
    assert done.code in (1, 2, 4)
    assert one_line(done)
    install = install_of(ended)
    assert install["phase"] == "installing"
    assert "does not start" in install["reason"]
    assert state(ended) == "shut off"
    virsh("net-start", NETWORK)
    ok("hosts", "wait", ended, "--for", "installed")
    assert install_of(ended)["reason"] is None
    eventually(lambda: boots_from_disk(ended))
    assert starts(ended) == 2


@pytest.mark.parametrize("finisher", ["show", "start"])
def test_killed_between_start_and_resume(finisher: str, ended: str) -> None:
    """libvirt starts the guest paused, and the process that would resume it was killed."""
    assert run("hosts", "wait", ended, "--for", "installed").code != 0
    virsh("net-start", NETWORK)
    virsh("start", ended, "--paused")
    ok("hosts", finisher, ended)
    assert state(ended) == "running"
    assert install_of(ended)["phase"] == "installed"
    eventually(lambda: boots_from_disk(ended))
    assert starts(ended) == 2


def test_killed_after_the_resume(ended: str) -> None:
    assert run("hosts", "wait", ended, "--for", "installed").code != 0
    virsh("net-start", NETWORK)
    virsh("start", ended)
    assert install_of(ended)["phase"] == "installed"
    eventually(lambda: boots_from_disk(ended))
    assert starts(ended) == 2


def test_unknown_end_of_the_installer(ended: str) -> None:
    """Neither libvirt nor the log says how the installer ended: that is not a success."""
    virsh("net-start", NETWORK)
    Path(f"/var/log/libvirt/qemu/{ended}.log").write_text("")
    daemon("kill", "libvirtd")
    daemon("start", "libvirtd")
    done = run("hosts", "wait", ended, "--for", "installed")
    assert (done.code, one_line(done)) == (7, True)
    assert "cannot determine how" in done.err
    assert state(ended) == "shut off"


def test_wait_for_a_locked_host_ends_at_its_timeout(ended: str) -> None:
    with locks.hold("host", ended):
        done = run("hosts", "wait", ended, "--for", "installed", "--timeout", "0.5")
    assert (done.code, one_line(done)) == (5, True)
    virsh("net-start", NETWORK)


def test_host_being_created_is_not_waited_for(ended: str) -> None:
    hypervisor = Hypervisor(URI)
    host = hypervisor.domain(ended)
    data = installation.find_metadata(host)
    assert data
    half = metadata.text(replace(data, complete=False))
    host.set_metadata(half, metadata.URI, metadata.KEY)
    with locks.hold("host", ended):
        install = installation.advance(hypervisor, ended, timeout=0)
        assert install
        assert install.open
    host.set_metadata(metadata.text(data), metadata.URI, metadata.KEY)
    virsh("net-start", NETWORK)


def test_boot_order_of_a_network_installation() -> None:
    ok(*"hosts create pxe --memory 64 --disk 1 --network vlan10 --install".split())
    running, stored = virsh("dumpxml", "pxe"), virsh("dumpxml", "pxe", "--inactive")
    assert "<on_reboot>destroy</on_reboot>" in running
    assert running.index("<boot dev='network'/>") < running.index("<boot dev='hd'/>")
    assert "<on_reboot>restart</on_reboot>" in stored
    assert stored.index("<boot dev='hd'/>") < stored.index("<boot dev='network'/>")
    assert "<kernel>" not in running + stored
    assert install_of("pxe")["location"] is None
    delete("pxe")


def test_show_does_not_wait_for_a_lock() -> None:
    """A host in installation is shown while another process has its lock."""
    with serving() as trees:
        ok(*arguments("looked", trees.of(End.HALT)))
    code = "with locks.hold('host', 'looked'): print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import sys\nfrom shctl.common import locks\n{code}"],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    try:
        assert install_of("looked")["phase"] == "installing"
        assert run("hosts", "wait", "looked", "--for", "running").code == 0
    finally:
        holder.communicate()
    delete("looked")


LOG = """\
2026-01-02 03:04:05.000+0000: starting up libvirt version: 9.0.0
-uuid aaaa \\
2026-01-02 03:05:00.111+0000: shutting down, reason=destroyed
2026-01-02T03:05:01.000000Z qemu-system-x86_64: 2026: shutting down, reason=crashed
2026-01-02 03:05:00.222+0000: starting up libvirt version: 9.0.0
LC_ALL=C /usr/bin/qemu-system-x86_64 -uuid bbbb \\
2026-01-02 03:07:00.000+0000: shutting down, reason=shutdown
2026-01-02 03:08:00.000+0000: starting up libvirt version: 9.0.0
LC_ALL=C /usr/bin/qemu-system-x86_64 -uuid bbbb \\
2026-01-02 03:09:00.000+0000: shutting down, reason=destroyed
2026-01-02 03:10:00.222+0000: starting up libvirt version: 9.0.0
LC_ALL=C /usr/bin/qemu-system-x86_64 -uuid cccc \\
2026-01-02 03:11:00.222+0000: starting up libvirt version: 9.0.0
LC_ALL=C /usr/bin/qemu-system-x86_64 -uuid cccc \\
2026-01-02 03:12:00.000+0000: shutting down, reason=shutdown
2026-01-02 03:13:00.222+0000: starting up libvirt version: 9.0.0
LC_ALL=C /usr/bin/qemu-system-x86_64 -uuid eeee \\
"""


@pytest.mark.parametrize(
    ("uuid", "ending"),
    [
        ("aaaa", "destroyed"),
        ("bbbb", "shutdown"),
        ("cccc", "unknown"),
        ("eeee", None),
        ("dd", None),
    ],
)
def test_first_ending(
    uuid: str, ending: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "qemu_logs", lambda: tmp_path)
    (tmp_path / "web1.log").write_text(LOG)
    assert qemulog.first_ending("web1", uuid) == ending
    assert qemulog.first_ending("web2", uuid) is None


def test_only_the_end_of_a_long_log_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier entries are ignored, and libvirt's own reason is used."""
    monkeypatch.setattr(paths, "qemu_logs", lambda: tmp_path)
    monkeypatch.setattr(qemulog, "MAX_BYTES", len(LOG))
    log = tmp_path / "web1.log"
    log.write_text(LOG)
    assert qemulog.first_ending("web1", "aaaa") == "destroyed"
    with log.open("a") as stream:
        stream.write("x" * 200)
    assert qemulog.first_ending("web1", "aaaa") is None
    assert qemulog.first_ending("web1", "bbbb") == "shutdown"
