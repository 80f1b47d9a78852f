"""`hosts disks` on the command line and over REST."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import installations, linux_guest
from tests.frontends.frontend import Answer, Frontend
from tests.guests import End
from tests.installations import log_of, virsh
from tests.support import VOLUMES, call, define, eventually, ok, qemu_pid

pytestmark = pytest.mark.hypervisor

HOST: dict[str, Any] = {"memory": 64, "disks": [1], "networks": ["vlan10"]}
TINY = Path("/run/tiny")
VIRTIO = """<disk type='file' device='disk'><driver name='qemu' type='{}'/><source file='{}'/>
<target dev='vdb' bus='virtio'/></disk></devices>"""


@pytest.fixture
def web1(frontend: Frontend) -> Iterator[Answer]:
    """Create a host, and delete it after the test."""
    made = frontend.run("hosts create", "web1", **HOST)
    assert made.ok, made
    yield made
    assert frontend.run("hosts delete", "web1", if_exists=True).ok


def stored() -> str:
    return virsh("dumpxml", "--inactive", "--security-info", "web1")


def says_stop(answer: Answer) -> bool:
    return "hosts stop web1" in answer.detail or "PUT /hosts/web1/stop" in answer.detail


def names(frontend: Frontend) -> list[str]:
    return [disk["name"] for disk in frontend.run("hosts disks list", "web1").data]


def element(target: str, xml: str, name: str) -> str:
    """Return a text within the element of a disk."""
    disks: list[str] = re.findall("<disk.*?</disk>", xml, re.DOTALL)
    disk = next(disk for disk in disks if f"'{target}'" in disk)
    return disk.split(f"<{name}>")[1].split("<")[0]


def add(frontend: Frontend, size: int = 1, **more: Any) -> dict[str, Any]:
    answer = frontend.run("hosts disks add", "web1", size=size, **more)
    assert answer.ok, answer
    return dict(answer.data)


@pytest.mark.parametrize("runs", [False, True])
def test_a_disk_from_addition_to_removal(frontend: Frontend, web1: Answer, runs: bool) -> None:
    del web1
    if runs:
        assert frontend.run("hosts start", "web1").ok
    applied = "now" if runs else "next start"
    path = str(VOLUMES / "web1-sdb")
    added = add(frontend, 2)
    serial = added.pop("serial")
    assert added == {"name": "sdb", "size": 2.0, "path": path, "owned": True, "applied": applied}
    assert names(frontend) == ["sda", "sdb"]
    shown = frontend.run("hosts disks show", "web1", "sdb").data
    assert shown == {"name": "sdb", "size": 2.0, "path": path, "owned": True}
    grown = frontend.run("hosts disks resize", "web1", "sdb", size=3)
    assert grown.data == {**added, "size": 3.0, "serial": serial}
    assert Path(path).stat().st_size == 3 * 2**30
    if runs:
        assert "Capacity:       3221225472" in virsh("domblkinfo", "web1", "sdb")
        assert "sdb" in virsh("domblklist", "web1")
    assert frontend.run("hosts show", "web1").data["pending"] == []
    removed = frontend.run("hosts disks remove", "web1", "sdb")
    assert removed.ok, removed
    assert removed.data in (
        None, {"name": "sdb", "result": "removed", "kept": [], "applied": applied},
    )  # fmt: skip
    assert (names(frontend), Path(path).exists()) == (["sda"], False)
    assert "web1-sdb" not in stored() + (virsh("dumpxml", "web1") if runs else "")
    assert frontend.run("doctor").data == []


def test_a_disk_is_like_one_of_the_creation(frontend: Frontend, web1: Answer) -> None:
    del web1
    add(frontend)
    added = re.sub(
        r"<uuid>.*?</uuid>|uuid='[^']*'|uuid=\"[^\"]*\"|created=\"[^\"]*\"", "", stored()
    )
    assert frontend.run("hosts delete", "web1").ok
    assert frontend.run("hosts create", "web1", **{**HOST, "disks": [1, 1]}).ok
    made = re.sub(r"<uuid>.*?</uuid>|uuid='[^']*'|uuid=\"[^\"]*\"|created=\"[^\"]*\"", "", stored())
    assert sorted(added.split()) == sorted(made.split())


def test_names_and_serials_after_a_removal_in_the_middle(frontend: Frontend, web1: Answer) -> None:
    del web1
    serials = [add(frontend)["serial"] for _ in range(2)]
    assert frontend.run("hosts disks remove", "web1", "sdb").ok
    assert names(frontend) == ["sda", "sdc"]
    again = add(frontend, 2)
    assert (again["name"], again["serial"]) == ("sdb", serials[0])
    xml = stored()
    found = [
        element(target, xml, tag) for target in ("sda", "sdb", "sdc") for tag in ("serial", "wwn")
    ]
    assert len(set(found)) == 6
    assert element("sdc", xml, "serial") == serials[1]


def test_the_name_of_a_kept_disk_stays_taken(frontend: Frontend, web1: Answer) -> None:
    """Its data would otherwise be taken for that of a new disk with the same serial number."""
    del web1
    volume = VOLUMES / "web1-sdb"
    add(frontend)
    volume.write_bytes(b"precious".ljust(512))
    kept = frontend.run("hosts disks remove", "web1", "sdb", keep=True)
    assert kept.data in (
        None,
        {"name": "sdb", "result": "detached", "kept": [str(volume)], "applied": "next start"},
    )
    assert add(frontend)["name"] == "sdc"
    (finding,) = frontend.run("doctor").data
    assert (finding["name"], finding["problem"]) == (str(volume), "it belongs to no host")
    assert frontend.run("hosts delete", "web1").ok
    assert volume.read_bytes().startswith(b"precious")
    virsh("vol-delete", "web1-sdb", "shctl")


@pytest.mark.parametrize("runs", [False, True])
def test_dry_runs_change_nothing(
    frontend: Frontend, web1: Answer, snapshot: Callable[[], set[tuple[str, str]]], runs: bool
) -> None:
    del web1
    add(frontend)
    if runs:
        assert frontend.run("hosts start", "web1").ok
    before, things = stored(), snapshot()
    commands: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
        ("add", (), {"size": 1}), ("resize", ("sdb",), {"size": 2}), ("remove", ("sdb",), {}),
        ("remove", ("sdb",), {"keep": True}),
    ]  # fmt: skip
    for command, words, given in commands:
        planned = frontend.run(f"hosts disks {command}", "web1", *words, **given, dry_run=True)
        assert planned.ok, planned
        assert planned.data["name"] == "web1"
        steps = planned.data["steps"]
        assert all(step["description"].endswith(".") for step in steps)
        live = [step for step in steps if "running host" in step["target"]]
        assert len(live) == (1 if runs else 0)
    same = frontend.run("hosts disks resize", "web1", "sdb", size=1, dry_run=True)
    assert same.data["steps"] == []
    assert (stored(), snapshot()) == (before, things)
    for command, words, given in [
        ("add", (), {"size": 2**16}), ("resize", ("sda",), {"size": 2**16}),
        ("remove", ("sdz",), {}),
    ]:  # fmt: skip
        planned = frontend.run(f"hosts disks {command}", "web1", *words, **given, dry_run=True)
        assert planned == frontend.run(f"hosts disks {command}", "web1", *words, **given)
        assert planned.status in (404, 507)


@pytest.mark.parametrize(
    "name", ["../x", "sda'", "sdz", "web1-sda", "-x", "$(id)", "sd" * 200, "é"]
)
def test_hostile_and_missing_disks(frontend: Frontend, web1: Answer, name: str) -> None:
    del web1
    before = stored()
    for command, given in [("show", {}), ("resize", {"size": 2}), ("remove", {})]:
        answer = frontend.run(f"hosts disks {command}", "web1", name, **given)
        assert answer.status in (400, 404), answer
        assert frontend.run(f"hosts disks {command}", "nobody", "sda", **given).status == 404
    assert (stored(), (VOLUMES / "web1-sda").exists()) == (before, True)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("size", {}), ("size", {"size": 0}), ("size", {"size": 2**20}),
        ("pool", {"size": 1, "pool": "nowhere"}), ("pool", {"size": 1, "pool": "../x"}),
    ],
)  # fmt: skip
def test_wrong_input(frontend: Frontend, web1: Answer, field: str, given: dict[str, Any]) -> None:
    del web1
    before = stored()
    answer = frontend.run("hosts disks add", "web1", **given)
    assert (answer.status, field in answer.detail) == (400, True), answer
    assert stored() == before


def test_a_smaller_size(frontend: Frontend, web1: Answer) -> None:
    del web1
    assert frontend.run("hosts disks resize", "web1", "sda", size=2).ok
    answer = frontend.run("hosts disks resize", "web1", "sda", size=1)
    assert (answer.status, "would destroy data" in answer.detail) == (400, True)
    assert (VOLUMES / "web1-sda").stat().st_size == 2 * 2**30


def test_the_first_disk(frontend: Frontend, web1: Answer) -> None:
    """A running host keeps it; one that is off may lose it, and gets the name again."""
    del web1
    assert frontend.run("hosts start", "web1").ok
    refused = frontend.run("hosts disks remove", "web1", "sda")
    assert (refused.status, says_stop(refused)) == (409, True)
    assert frontend.run("hosts stop", "web1", force=True).ok
    assert frontend.run("hosts disks remove", "web1", "sda").ok
    assert names(frontend) == []
    assert add(frontend)["name"] == "sda"
    assert frontend.run("hosts start", "web1").ok


def test_hosts_of_others(frontend: Frontend, web1: Answer) -> None:
    del web1
    xml = stored()
    virsh("metadata", "web1", "urn:shctl:host:1", "--remove")
    for command, words, given in [
        ("add", (), {"size": 1}), ("resize", ("sda",), {"size": 2}), ("remove", ("sda",), {}),
    ]:  # fmt: skip
        answer = frontend.run(f"hosts disks {command}", "web1", *words, **given)
        assert (answer.status, "hosts adopt web1" in answer.detail) == (409, True)
    virsh("undefine", "web1")
    define(xml)


@pytest.fixture
def image() -> Iterator[Path]:
    """Create an image that no pool has."""
    path = Path("/var/lib/libvirt/images/own.img")
    path.parent.mkdir(exist_ok=True)
    call("truncate", "-s", "1G", str(path))
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("runs", [False, True])
def test_a_disk_that_the_host_does_not_own(
    frontend: Frontend, web1: Answer, image: Path, runs: bool
) -> None:
    del web1
    define(stored().replace("</devices>", VIRTIO.format("raw", image).replace("virtio", "scsi")))
    if runs:
        assert frontend.run("hosts start", "web1").ok
    answer = frontend.run("hosts disks resize", "web1", "vdb", size=2)
    assert (answer.status, "does not own it" in answer.detail) == (409, True)
    planned = frontend.run("hosts disks remove", "web1", "vdb", dry_run=True).data["steps"]
    assert planned[-1]["description"].endswith(f"without disk 'vdb', and keep {image}.")
    removed = frontend.run("hosts disks remove", "web1", "vdb")
    assert removed.ok, removed
    assert removed.data is None or removed.data["kept"] == [str(image)]
    assert (names(frontend), image.stat().st_size) == (["sda"], 2**30)


def test_a_guest_that_does_not_release_a_disk(
    frontend: Frontend, web1: Answer, image: Path
) -> None:
    """A disk on PCI is gone only when the guest agrees, and there is no system in this guest."""
    del web1
    define(stored().replace("</devices>", VIRTIO.format("raw", image)))
    assert frontend.run("hosts start", "web1").ok
    before = sorted(stored().split())
    answer = frontend.run("hosts disks remove", "web1", "vdb")
    assert (answer.status, says_stop(answer)) == (409, True)
    assert "left behind" not in answer.detail
    assert sorted(stored().split()) == before
    assert names(frontend) == ["sda", "vdb"]
    assert frontend.run("hosts stop", "web1", force=True).ok
    assert frontend.run("hosts disks remove", "web1", "vdb").ok
    assert image.exists()


def test_an_adopted_host(frontend: Frontend, web1: Answer, image: Path) -> None:
    """Its own file is removed; it has no virtio-scsi controller until one is added with a disk."""
    del web1
    assert frontend.run("hosts delete", "web1").ok
    define(
        "<domain type='qemu'><name>web1</name><memory>65536</memory><os><type machine='q35'>hvm"
        f"</type></os><devices>{VIRTIO.format('raw', image)}</domain>"
    )
    call(*"virsh -q -c qemu:///system start web1".split())
    ok("hosts", "adopt", "web1", "--own-disk", str(image))
    added = add(frontend)
    assert (added["name"], added["applied"]) == ("sda", "next start")
    (pending,) = frontend.run("hosts show", "web1").data["pending"]
    assert (pending["key"], pending["value"]) == ("disks", "vdb, sda")
    assert [disk["name"] for disk in frontend.run("hosts show", "web1").data["disks"]] == ["vdb"]
    assert names(frontend) == ["sda", "vdb"]
    assert frontend.run("hosts stop", "web1", force=True).ok
    assert frontend.run("hosts start", "web1").ok
    assert names(frontend) == ["sda", "vdb"]
    assert add(frontend)["applied"] == "now"
    assert frontend.run("hosts stop", "web1", force=True).ok
    answer = frontend.run("hosts disks resize", "web1", "vdb", size=2)
    assert (answer.status, "not a volume" in answer.detail) == (409, True)
    assert frontend.run("hosts disks remove", "web1", "vdb").ok
    assert not image.exists()


@pytest.mark.parametrize("use", ["other host", "image", "snapshot", "process", "twin"])
def test_a_disk_that_something_else_uses(frontend: Frontend, web1: Answer, use: str) -> None:
    del web1
    add(frontend)
    path, overlay = VOLUMES / "web1-sdb", VOLUMES / "top.qcow2"
    disk = VIRTIO.format("raw", path)
    process = None
    if use == "other host":
        define(
            "<domain type='qemu'><name>other</name><memory>65536</memory><os><type>hvm</type></os>"
            f"<devices>{disk}</domain>"
        )
    elif use == "image":
        call("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(path), str(overlay))
    elif use == "snapshot":
        virsh("snapshot-create-as", "web1", "s1", "--disk-only", "--no-metadata",
              "--diskspec", f"sdb,file={overlay}", "--diskspec", "sda,snapshot=no")  # fmt: skip
        define(stored().replace(str(overlay), str(path)).replace("'qcow2'", "'raw'"))
    elif use == "process":
        process = subprocess.Popen(
            ["qemu-io", "-f", "raw", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout
        process.stdout.read(1)
    else:
        define(stored().replace("</devices>", disk))
    before = stored()
    for command, given in [("resize", {"size": 2}), ("remove", {})]:
        answer = frontend.run(f"hosts disks {command}", "web1", "sdb", **given)
        assert (answer.status, str(path) in answer.detail or "same image" in answer.detail) == (
            409, True,
        ), answer  # fmt: skip
    assert (stored(), path.stat().st_size) == (before, 2**30)
    if process:
        process.communicate(b"quit\n")
    elif use == "other host":
        virsh("undefine", "other")
    elif use == "twin":
        assert frontend.run("hosts disks remove", "web1", "vdb", keep=True).ok
    overlay.unlink(missing_ok=True)


def test_a_host_with_snapshots(frontend: Frontend, web1: Answer, tmp_path: Path) -> None:
    """Reverting to one would need the disk as it was."""
    del web1
    add(frontend)
    disks = "".join(f"<disk name='{name}' snapshot='internal'/>" for name in ("sda", "sdb"))
    (tmp_path / "s1").write_text(
        "<domainsnapshot><name>s1</name><state>shutoff</state><creationTime>1</creationTime>"
        f"<disks>{disks}</disks>{stored()}</domainsnapshot>"
    )
    virsh("snapshot-create", "web1", str(tmp_path / "s1"), "--redefine")
    for command, given in [("resize", {"size": 2}), ("remove", {})]:
        answer = frontend.run(f"hosts disks {command}", "web1", "sdb", **given)
        assert (answer.status, "has snapshots" in answer.detail) == (409, True)
    virsh("snapshot-delete", "web1", "s1", "--metadata")
    assert frontend.run("hosts disks remove", "web1", "sdb").ok


@pytest.mark.parametrize("runs", [False, True])
def test_a_qcow2_disk(frontend: Frontend, web1: Answer, runs: bool) -> None:
    del web1
    path = VOLUMES / "web1-sdb"
    add(frontend)
    path.unlink()
    call("qemu-img", "create", "-q", "-f", "qcow2", str(path), "1G")
    virsh("pool-refresh", "shctl")
    # As raw it would be what the guest has written.
    answer = frontend.run("hosts disks resize", "web1", "sdb", size=2)
    assert (answer.status, "uses it as raw" in answer.detail) == (409, True)
    head, tail = stored().split(str(path))
    define(str(path).join(["'qcow2'".join(head.rsplit("'raw'", 1)), tail]))
    if runs:
        assert frontend.run("hosts start", "web1").ok
    assert frontend.run("hosts disks resize", "web1", "sdb", size=2).data["size"] == 2
    found = json.loads(call("qemu-img", "info", "-U", "--output=json", str(path)))
    assert (found["format"], found["virtual-size"]) == ("qcow2", 2 * 2**30)
    assert frontend.run("hosts disks show", "web1", "sdb").data["size"] == 2
    assert frontend.run("hosts disks remove", "web1", "sdb").ok


@pytest.fixture
def tiny() -> Iterator[None]:
    """Create a pool of 1 MiB."""
    TINY.mkdir()
    call("mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tiny", str(TINY))
    virsh("pool-define-as", "tiny", "dir", "--target", str(TINY))
    virsh("pool-start", "tiny")
    yield
    virsh("pool-destroy", "tiny")
    virsh("pool-undefine", "tiny")
    call("umount", "-l", str(TINY))
    TINY.rmdir()


def test_a_full_pool(frontend: Frontend, web1: Answer, tiny: None) -> None:
    del web1
    before = stored()
    answer = frontend.run("hosts disks add", "web1", size=1, pool="tiny")
    assert (answer.status, "has 0.0 GiB left" in answer.detail) == (507, True)
    assert (stored(), list(TINY.iterdir())) == (before, [])
    assert frontend.run("hosts disks add", "web1", size=2**16).status == 507
    assert frontend.run("hosts disks resize", "web1", "sda", size=2**16).status == 507
    assert stored() == before
    virsh("pool-destroy", "tiny")
    answer = frontend.run("hosts disks add", "web1", size=1, pool="tiny")
    assert (answer.status, "virsh pool-start tiny" in answer.detail) == (400, True)
    virsh("pool-start", "tiny")


def test_a_hung_qemu(frontend: Frontend, web1: Answer) -> None:
    """Nothing is changed, and nothing waits longer than the limit of a call."""
    del web1
    add(frontend)
    assert frontend.run("hosts start", "web1").ok
    before, pid = stored(), qemu_pid("web1")
    call("kill", "-STOP", str(pid))
    try:
        for command, words, given in [
            ("add", (), {"size": 1}), ("remove", ("sdb",), {}),
        ]:  # fmt: skip
            answer = frontend.run(f"hosts disks {command}", "web1", *words, **given)
            assert (answer.status, says_stop(answer)) == (504, True)
    finally:
        call("kill", "-CONT", str(pid))
    assert stored() == before
    assert sorted(path.name for path in VOLUMES.iterdir()) == ["web1-sda", "web1-sdb"]


def test_a_host_that_is_being_installed(frontend: Frontend) -> None:
    with installations.serving() as trees:
        given = {**HOST, "install": True, "location": trees.of(End.SPIN)}
        assert frontend.run("hosts create", "web1", **given).ok
        answer = frontend.run("hosts disks add", "web1", size=1)
        assert (answer.status, "being installed" in answer.detail) == (409, True)
    assert frontend.run("hosts delete", "web1").ok


def test_a_failed_attach_leaves_nothing(
    frontend: Frontend, web1: Answer, snapshot: Callable[[], set[tuple[str, str]]]
) -> None:
    """QEMU, which does not run as root, may not open the volume."""
    del web1
    assert frontend.run("hosts start", "web1").ok
    before, things = sorted(stored().split()), snapshot()
    VOLUMES.chmod(0o700)
    answer = frontend.run("hosts disks add", "web1", size=1)
    VOLUMES.chmod(0o711)
    assert (answer.status, "Permission denied" in answer.detail) == (409, True), answer
    assert "left behind" not in answer.detail
    assert (sorted(stored().split()), snapshot()) == (before, things)
    assert (names(frontend), frontend.run("doctor").data) == (["sda"], [])


LOOP = b"""
mount -t sysfs sys /sys 2>/dev/null
while sleep 1; do
    for disk in /sys/block/sd?; do
        echo "saw $(basename $disk) $(cat $disk/size) $(tail -c 16 $disk/device/vpd_pg80)."
    done
done
"""


def test_the_guest_sees_the_disk(frontend: Frontend, web1: Answer, tmp_path: Path) -> None:
    """Linux finds a new disk with its serial number, its new size, and that it is gone."""
    del web1
    folder = Path("/var/lib/libvirt/images")
    kernel, initrd = folder / "kernel", folder / "initrd"
    kernel.write_bytes(linux_guest.kernel())
    initrd.write_bytes(linux_guest.initrd({"installer": LOOP}))
    boot = f"<kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>console=ttyS0</cmdline>"
    bigger = stored().replace("<boot dev='hd'/>", boot + "<boot dev='hd'/>")
    define(re.sub(r"(<memory unit='KiB'>|<currentMemory unit='KiB'>)65536", r"\g<1>262144", bigger))
    assert frontend.run("hosts start", "web1").ok
    eventually(lambda: "saw sda 2097152" in log_of("web1"), 60)
    serial = add(frontend)["serial"]
    eventually(lambda: f"saw sdb 2097152 {serial}." in log_of("web1"), 60)
    assert frontend.run("hosts disks resize", "web1", "sdb", size=2).ok
    eventually(lambda: f"saw sdb 4194304 {serial}." in log_of("web1"), 60)
    assert frontend.run("hosts disks remove", "web1", "sdb").ok
    eventually(lambda: "saw sdb" not in log_of("web1")[-200:], 60)
    assert frontend.run("hosts delete", "web1").ok
    kernel.unlink()
    initrd.unlink()
