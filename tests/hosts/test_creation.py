"""Creating hosts on the real libvirt, QEMU and Open vSwitch."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from shctl.common import locks, names, signals, steps
from shctl.common.errors import Conflict
from shctl.common.rollback import Rollback
from shctl.common.steps import Step
from shctl.hosts import creation
from shctl.hosts.request import Request
from shctl.hypervisor.connection import Hypervisor
from shctl.install.media import InstallOptions
from shctl.xml.domain import Hardware
from tests.guests import End, boot_sector
from tests.installations import Trees
from tests.leftovers import Thing
from tests.support import (
    LOGS,
    URI,
    VOLUMES,
    call,
    connected,
    create,
    eventually,
    ok,
    port_of,
    port_rows,
    run,
    show,
    state,
)

pytestmark = pytest.mark.usefixtures("vlan10")


def xml_of(name: str) -> etree._Element:
    with connected() as connection:
        return etree.fromstring(connection.lookupByName(name).XMLDesc())


def test_created_without_start_is_shut_off_and_complete() -> None:
    words = "hosts create web1 --memory 64 --disk 1 --disk 2 --network vlan10 --network vlan10"
    made = json.loads(ok("-o", "json", *words.split(), "--cpus", "2", "--autostart"))
    assert made == show("web1")
    assert (made["state"], made["memory"], made["cpus"]) == ("shut off", 64, 2)
    assert (made["managed"], made["autostart"], made["install"]) == (True, True, None)
    disks = [(d["name"], d["size"], d["path"], d["owned"]) for d in made["disks"]]
    assert disks == [
        ("sda", 1.0, f"{VOLUMES}/web1-sda", True),
        ("sdb", 2.0, f"{VOLUMES}/web1-sdb", True),
    ]
    macs = [interface["mac"] for interface in made["interfaces"]]
    assert macs == [names.mac("web1", 0), names.mac("web1", 1)]
    assert {interface["vlan"] for interface in made["interfaces"]} == {10}
    ok("hosts", "delete", "--yes", "web1")


def test_hardware_in_libvirts_xml() -> None:
    create("metal", "--start")
    root = xml_of("metal")
    target = root.find("devices/disk/target")
    assert target is not None
    assert (target.get("dev"), target.get("bus")) == ("sda", "scsi")
    assert root.find("devices/controller[@type='scsi'][@model='virtio-scsi']") is not None
    assert root.findtext("devices/disk/serial") == names.serial("metal", "sda")
    assert root.findtext("devices/disk/wwn") == names.wwn("metal", "sda")
    driver = root.find("devices/disk/driver")
    assert driver is not None
    assert driver.get("type") == "raw"
    assert root.find("devices/channel/target[@name='org.qemu.guest_agent.0']") is not None
    assert root.find("devices/rng[@model='virtio']") is not None
    assert root.find("devices/graphics[@type='vnc'][@listen='127.0.0.1']") is not None
    machine = root.find("os/type")
    assert machine is not None
    assert "q35" in machine.get("machine", "")
    assert root.find("devices/interface/model[@type='virtio']") is not None
    ok("hosts", "delete", "--yes", "metal")


def test_all_disks_are_on_one_controller() -> None:
    """By default libvirt puts seven disks on a controller and adds one of another model."""
    create("many", *11 * ["--disk", "1"], "--start")
    root = xml_of("many")
    controllers = root.findall("devices/controller[@type='scsi']")
    assert [controller.get("model") for controller in controllers] == ["virtio-scsi"]
    assert [disk["name"] for disk in show("many")["disks"]] == [f"sd{c}" for c in "abcdefghijkl"]
    ok("hosts", "delete", "--yes", "many")


def test_volume_is_sparse_and_private() -> None:
    ok(*"hosts create big --memory 64 --disk 1000 --network vlan10".split())
    status = (VOLUMES / "big-sda").stat()
    assert (status.st_size, status.st_blocks) == (1000 * 2**30, 0)
    assert status.st_mode & 0o777 == 0o600
    ok("hosts", "delete", "--yes", "big")


def test_rebuilt_host_is_the_same_machine() -> None:
    create("again")
    before = show("again")
    ok("hosts", "delete", "--yes", "again")
    create("again")
    after = show("again")
    assert before["id"] != after["id"]
    assert before["interfaces"][0]["mac"] == after["interfaces"][0]["mac"]
    ok("hosts", "delete", "--yes", "again")


def test_guest_boots_from_its_disk_and_its_console_is_kept() -> None:
    create("boots")
    with (VOLUMES / "boots-sda").open("r+b") as volume:
        volume.write(boot_sector("Hello from sda"))
    ok("hosts", "start", "boots")
    log = LOGS / "boots.log"
    eventually(lambda: log.exists() and "Hello from sda" in log.read_text())
    assert "Hello from sda" in ok("hosts", "log", "boots")
    assert log.stat().st_mode & 0o077 == 0
    assert LOGS.stat().st_mode & 0o777 == 0o700
    ok("hosts", "stop", "boots", "--force")
    ok("hosts", "start", "boots")
    eventually(lambda: log.read_text().count("Hello from sda") == 2)
    ok("hosts", "delete", "--yes", "boots")
    assert not log.exists()


def test_port_has_the_networks_tag() -> None:
    create("tagged", "--start")
    row = port_rows()[port_of("tagged")]
    assert (row["tag"], row["trunks"], row["vlan_mode"]) == (10, ["set", []], ["set", []])
    ok("hosts", "delete", "--yes", "tagged")
    assert row["name"] not in port_rows()


def test_deletion_dry_run_in_every_format() -> None:
    """It needs no --yes, changes nothing, and covers all names."""
    for name in ("one", "two"):
        create(name)
    words = ("hosts", "delete", "--dry-run", "one", "two")
    table = ok(*words)
    assert [line for line in table.splitlines() if line.startswith("NAME")] == [
        "NAME   one",
        "NAME   two",
    ]
    assert "Remove volume one-sda (/var/lib/shctl/volumes/one-sda), 1 GiB." in table
    plans = json.loads(ok("-o", "json", *words))
    assert [plan["name"] for plan in plans] == ["one", "two"]
    assert plans[0]["steps"][-1] == {
        "action": "undefine",
        "target": "host one",
        "description": "Undefine host 'one', with its managed save and snapshot metadata.",
    }
    assert ok("-o", "name", *words).split() == ["one", "two"]
    done = run("hosts", "delete", "--dry-run", "one", "nowhere")
    assert (done.code, "Remove volume one-sda" in done.out, "nowhere" in done.err) == (
        3,
        True,
        True,
    )
    ok("hosts", "delete", "--yes", "one", "two")


def test_existing_host_is_a_conflict_without_if_not_exists() -> None:
    create("same")
    first = show("same")
    again = run(*"hosts create same --memory 99 --disk 1 --network vlan10".split())
    assert again.code == 4
    assert "already exists" in again.err
    create("same", "--if-not-exists")
    assert show("same") == first
    other = run(*"hosts create same --memory 64 --disk 2 --network vlan10 --if-not-exists".split())
    assert (other.code, "exists with different disks: 1, not 2" in other.err) == (4, True)
    create("same", "--if-not-exists", "--start")
    assert state("same") == "running"
    ok("hosts", "delete", "--yes", "same")
    assert "does not exist" in ok("hosts", "delete", "--yes", "same", "--if-exists")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--network=nowhere", "no network 'nowhere'"),
        ("--network=vlan1", "did you mean 'vlan10'"),
        ("--pool=nowhere", "no pool 'nowhere'"),
        ("--virt-type=kvm", "KVM is not usable"),
        ("--cpus=256", "between 1 and 255"),
        ("--disk=65T", "between 1 and 65536 GiB"),
        ("--memory=16777217", "between 16 and 16777216 MiB"),
    ],
)
def test_invalid_values(option: str, words: str) -> None:
    done = run(*"hosts create x --memory 64 --disk 1 --network vlan10".split(), option)
    assert done.code == 2
    assert words in done.err


@pytest.mark.parametrize(
    ("typed", "start"),
    [
        ("--network=nowhere", "--network: no network"),
        ("--virt-type=kvm", "--virt-type: KVM"),
        ("--install --no-start", "--no-start: an installation"),
        ("--inject=/etc/hostname", "--inject: requires --install"),
        ("--value=a=b", "--value: requires --install"),
    ],
)
def test_errors_name_the_option(typed: str, start: str) -> None:
    line = "hosts create x --memory 64 --disk 1 --network vlan10".split()
    assert run(*line, *typed.split()).err.startswith(f"shctl: {start}")


def test_timeout_of_the_settings_needs_no_installation(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("install_timeout = 90")
    line = "hosts create x --memory 64 --disk 1 --network vlan10".split()
    assert run("--config", str(tmp_path / "f"), *line).code == 0
    ok("hosts", "delete", "--yes", "x")


def test_json_errors_name_the_field() -> None:
    line = "-o json hosts create x --memory 64 --disk 1 --network nowhere".split()
    assert json.loads(run(*line).err)["field"] == "networks"


@pytest.mark.parametrize(("memory", "disk"), [("1G", "2"), ("1024MiB", "2G"), ("1GiB", "2GiB")])
def test_sizes_may_have_suffixes(memory: str, disk: str) -> None:
    ok("hosts", "create", "big", "--network", "vlan10", "--memory", memory, "--disk", disk)
    made = show("big")
    assert (made["memory"], made["disks"][0]["size"]) == (1024, 2)
    ok("hosts", "delete", "--yes", "big")


def test_another_pool(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    call("virsh", "pool-create-as", "other", "dir", "--target", str(tmp_path))
    try:
        create("moved", "--pool", "other")
        assert show("moved")["disks"][0]["path"] == f"{tmp_path}/moved-sda"
        ok("hosts", "delete", "--yes", "moved")
        assert list(tmp_path.iterdir()) == []
    finally:
        call("virsh", "pool-destroy", "other")


def test_taken_name_is_reported_while_its_lock_is_held() -> None:
    create("busy")
    with locks.hold("host", "busy"):
        done = run("hosts", "create", "busy", "--memory", "64", "--disk", "1", "--network=vlan10")
    assert done.code == 4
    assert "host 'busy' already exists" in done.err
    ok("hosts", "delete", "--yes", "busy")


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
@pytest.mark.parametrize("how", ["failed", "interrupted"])
def test_nothing_is_left_of_a_creation_that_ends_in_any_step(
    how: str, firmware: str, trees: Trees, snapshot: Callable[[], set[Thing]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    hardware = Hardware(memory=64, cpus=1, firmware=firmware, virt_type="qemu")
    install = InstallOptions(location=trees.of(End.SPIN), inject={"preseed.cfg": b"#"})
    request = Request("ends", hardware, (1, 1), ("vlan10",), "shctl", True, install=install)
    run_step, hypervisor = steps._run, Hypervisor(URI)
    planned = creation.make_plan(hypervisor, request).steps
    before, handler = snapshot(), signal.getsignal(signal.SIGINT)
    signals.install()
    for last in planned:

        def run_until_last(
            step: Step[Any], context: Any, undo: Rollback, last: str = last.description
        ) -> None:
            ends = step.description == last
            if ends and how == "interrupted":
                step = replace(step, do=_interrupted(step.do))
            run_step(step, context, undo)
            if ends:
                raise Conflict("failed")

        monkeypatch.setattr(steps, "_run", run_until_last)
        error = KeyboardInterrupt if how == "interrupted" else Conflict
        with pytest.raises(error, match="^$" if how == "interrupted" else "^failed$"):
            creation.create(hypervisor, request, lambda *_: None)
        assert eventually(lambda: snapshot() == before), last.description
    signal.signal(signal.SIGINT, handler)


def _interrupted(do: Callable[[Any], object]) -> Callable[[Any], None]:
    """Return what a step does, with an interrupt at its end."""

    def interrupted(context: Any) -> None:
        do(context)
        signal.raise_signal(signal.SIGINT)

    return interrupted
