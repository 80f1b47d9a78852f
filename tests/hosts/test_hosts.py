"""`shctl hosts` against the real libvirt, QEMU and Open vSwitch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from shctl.common import names
from shctl.common.errors import Conflict
from shctl.hosts import power, stopping
from shctl.hypervisor.connection import Hypervisor
from shctl.networks import ports
from shctl.networks.switch import PortRow
from tests.guests import boot_sector
from tests.support import (
    URI,
    VOLUMES,
    Done,
    call,
    connected,
    create,
    eventually,
    ok,
    port_of,
    port_rows,
    run,
    state,
)

pytestmark = pytest.mark.usefixtures("vlan10")

LOGS = Path("/var/log/shctl/console")


def show(name: str) -> Any:
    return json.loads(ok("-o", "json", "hosts", "show", name))


def xml_of(name: str) -> etree._Element:
    with connected() as connection:
        return etree.fromstring(connection.lookupByName(name).XMLDesc())


def test_created_without_start_is_shut_off_and_whole() -> None:
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


def test_hardware_as_libvirt_has_it() -> None:
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


def test_all_disks_are_on_the_one_controller() -> None:
    """Of its own accord libvirt has seven of them there and adds a controller of another model."""
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


def test_power() -> None:
    """Each verb says what it did, and doing it twice is fine."""
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


def test_stop_that_the_guest_ignores() -> None:
    create("deaf", "--start")
    done = run("hosts", "stop", "deaf", "--timeout", "0.2")
    assert done.code == 5
    assert "--force powers it off" in done.err
    assert state("deaf") == "running"
    ok("hosts", "stop", "deaf", "--timeout", "0.2", "--force")
    assert state("deaf") == "shut off"
    ok("hosts", "delete", "--yes", "deaf")


@pytest.mark.parametrize("seconds", ["nan", "-1", "2x"])
def test_stop_wants_a_time(seconds: str) -> None:
    assert run("hosts", "stop", "nowhere", "--timeout", seconds).code == 2


def test_transient_host_goes_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    create("goes", "--start")
    call("virsh", "undefine", "goes")

    def wait(condition: Callable[[], bool], _seconds: float, **_: object) -> bool:
        call("virsh", "destroy", "goes")
        return condition()

    monkeypatch.setattr(stopping, "wait_until", wait)
    assert stopping.stop(Hypervisor(URI), "goes").result == "shut off"
    call("virsh", "vol-delete", "goes-sda", "shctl")
    (LOGS / "goes.log").unlink()


def test_start_that_comes_second_leaves_the_host_on(monkeypatch: pytest.MonkeyPatch) -> None:
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
    """One that fails keeps nobody else from being done, and a name given twice is done once."""
    for name in ("one", "two"):
        create(name)
    done = run("-o", "json", "hosts", "start", "one", "nowhere", "two", "one")
    assert done.code == 3
    assert [row["name"] for row in done.json] == ["one", "two"]
    assert "no host 'nowhere'" in json.loads(done.err)["detail"]
    done = run("hosts", "delete", "--yes", "nowhere", "one", "two")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert run("hosts", "show", "two").code == 3


def test_dry_run_of_a_deletion_in_every_format() -> None:
    """It needs no --yes, changes nothing, and comes for all names."""
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
        "description": "Undefine host one with its managed save and the metadata of its snapshots.",
    }
    assert ok("-o", "name", *words).split() == ["one", "two"]
    done = run("hosts", "delete", "--dry-run", "one", "nowhere")
    assert (done.code, "Remove volume one-sda" in done.out, "nowhere" in done.err) == (
        3,
        True,
        True,
    )
    ok("hosts", "delete", "--yes", "one", "two")


def test_twice_is_a_conflict_unless_asked_for() -> None:
    create("same")
    first = show("same")
    again = run(*"hosts create same --memory 99 --disk 1 --network vlan10".split())
    assert again.code == 4
    assert "exists already" in again.err
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
        ("--cpus=256", "from 1 to 255"),
        ("--disk=65T", "of GiB from 1 to 65536"),
        ("--memory=16777217", "of MiB from 16 to 16777216"),
    ],
)
def test_what_cannot_be(option: str, words: str) -> None:
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
def test_errors_name_what_was_typed(typed: str, start: str) -> None:
    line = "hosts create x --memory 64 --disk 1 --network vlan10".split()
    assert run(*line, *typed.split()).err.startswith(f"shctl: {start}")


def test_timeout_of_the_settings_needs_no_installation(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("install_timeout = 90")
    line = "hosts create x --memory 64 --disk 1 --network vlan10".split()
    assert run("--config", str(tmp_path / "f"), *line).code == 0
    ok("hosts", "delete", "--yes", "x")


def test_errors_name_the_field_of_json_too() -> None:
    line = "-o json hosts create x --memory 64 --disk 1 --network nowhere".split()
    assert json.loads(run(*line).err)["field"] == "networks"


@pytest.mark.parametrize(("memory", "disk"), [("1G", "2"), ("1024MiB", "2G"), ("1GiB", "2GiB")])
def test_sizes_may_have_suffixes(memory: str, disk: str) -> None:
    ok("hosts", "create", "big", "--network", "vlan10", "--memory", memory, "--disk", disk)
    made = show("big")
    assert (made["memory"], made["disks"][0]["size"]) == (1024, 2)
    ok("hosts", "delete", "--yes", "big")


def test_typo_is_met_with_the_nearest_name() -> None:
    create("web01")
    done = run("hosts", "show", "web1")
    assert (done.code, done.err) == (3, "shctl: no host 'web1'; did you mean 'web01'?\n")
    ok("hosts", "delete", "--yes", "web01")


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


def test_volume_of_the_same_name_in_another_pool_is_not_its_own(tmp_path: Path) -> None:
    call("virsh", "pool-create-as", "other", "dir", "--target", str(tmp_path))
    try:
        create("web1")
        call("virsh", "vol-create-as", "other", "web1-sda", "1M", "--format", "raw")
        other = str(tmp_path / "web1-sda")
        call("virsh", "attach-disk", "web1", other, "sdb", "--config", "--targetbus", "scsi")
        assert [disk["owned"] for disk in show("web1")["disks"]] == [True, False]
        assert json.loads(ok("-o", "json", "hosts", "delete", "--yes", "web1"))[0]["kept"] == [
            other
        ]
        call("virsh", "vol-delete", "web1-sda", "other")
    finally:
        call("virsh", "pool-destroy", "other")


def test_renamed_host_keeps_its_disk() -> None:
    """A new host of its old name must not lead anybody to removing it."""
    create("old")
    call("virsh", "domrename", "old", "new")
    disk = show("new")["disks"][0]
    assert (disk["path"], disk["owned"]) == (f"{VOLUMES}/old-sda", True)
    done = run(*"hosts create old --memory 64 --disk 1 --network vlan10".split())
    assert (done.code, done.err) == (
        4,
        "shctl: pool 'shctl' has a volume 'old-sda' already, which belongs to new;"
        " choose another name\n",
    )
    call("virsh", "start", "new")
    assert json.loads(ok("-o", "json", "doctor")) == [], "its log is not nobody's"
    call("virsh", "destroy", "new")
    call("virsh", "detach-disk", "new", "sda", "--config")
    done = run(*"hosts create old --memory 64 --disk 1 --network vlan10".split())
    assert (done.code, "belongs to new" in done.err) == (4, True), done
    gone = json.loads(ok("-o", "json", "hosts", "delete", "--yes", "new"))
    assert gone[0]["kept"] == [f"{VOLUMES}/old-sda"], "it is no disk of this host any more"
    assert not (LOGS / "old.log").exists()
    call("virsh", "vol-delete", "old-sda", "shctl")


def test_uefi_host_lives_and_dies_with_its_nvram() -> None:
    create("efi", "--firmware", "uefi", "--start")
    assert show("efi")["firmware"] == "uefi"
    assert state("efi") == "running"
    assert list(Path("/var/lib/libvirt/qemu/nvram").glob("efi_VARS*"))
    ok("hosts", "delete", "--yes", "efi")
    assert not list(Path("/var/lib/libvirt/qemu/nvram").glob("efi_VARS*"))


def test_hosts_of_others_are_listed_shown_started_and_stopped_but_not_deleted() -> None:
    name, memory = "<name>A b</name>", "<memory>65536</memory>"
    xml = f"<domain type='qemu'>{name}{memory}<os><type>hvm</type></os></domain>"
    with connected() as connection:
        domain = connection.defineXML(xml)
        try:
            assert "A b" in ok("-o", "name", "hosts", "list").splitlines()
            assert show("A b")["managed"] is False
            assert "started" in ok("hosts", "start", "A b")
            assert "powered off" in ok("hosts", "stop", "A b", "--force")
            refused = run("hosts", "delete", "--yes", "A b")
            assert refused.code == 4
            assert "'shctl hosts adopt A b' takes it over" in refused.err
        finally:
            domain.undefine()


def test_simulation_can_be_looked_at() -> None:
    rows = run("-c", "test:///default", "-o", "json", "hosts", "list").json
    assert rows == [
        {"id": "6695eb01-f6a4-8304-79aa-97f2502e193f", "name": "test", "state": "running"}
    ]
    shown = run("-c", "test:///default", "-o", "json", "hosts", "show", "test").json
    assert shown["state"] == "running"
