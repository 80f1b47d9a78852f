"""Scoreboard R50: the server with the restrictions of its systemd unit, on one file system."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import installations
from tests.guests import End
from tests.reliability.test_deletion import crash, leave, managed_save, pause, start
from tests.reliability.test_load import BODY, Storm
from tests.rest_server import Client, Running
from tests.scoreboard import Figures, rounds
from tests.support import call, create, define, eventually, ok, prepare, run
from tests.systemd_unit import HOME, one_file_system, serving_as_unit

pytestmark = pytest.mark.hypervisor

OTHER = """<domain type='qemu'><name>{}</name><memory>65536</memory><os><type>hvm</type></os>
<devices><disk type='file'><driver name='qemu' type='{}'/><source file='{}'/>
<target dev='sda' bus='scsi'/></disk></devices></domain>"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    prepare()
    with one_file_system(), serving_as_unit(tmp_path_factory.mktemp("unit")) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Client:
    return server.client


def test_r50_unit_holds(server: Running, tmp_path: Path, figures: Figures) -> None:
    """The other tests of this row depend on this one."""
    root = Path(f"/proc/{server.process.pid}")
    status = (root / "status").read_text()
    assert "CapEff:\t0000000000000000" in status
    assert "Max open files            1024                 1024" in (root / "limits").read_text()
    # Including the root, which in a chroot is not that of the namespace.
    inside = ("nsenter", f"--target={server.process.pid}", "--mount", "--root", "sh", "-c")
    script = "touch /etc/x /usr/x /var/lib/x || touch /var/lib/shctl/x && rm /var/lib/shctl/x"
    call(*inside, script)
    outside = tmp_path / "outside"
    outside.touch()
    call(*inside, f"test ! -e {outside} && test -e {server.socket}")
    places = [Path(top, "shctl").stat().st_dev for top in ("/var/lib", "/var/cache")]
    assert places[0] == places[1] == Path("/var").stat().st_dev
    figures.count("checks", 5)


@pytest.mark.parametrize("reach", [leave, start, pause, crash, managed_save])
def test_r50_delete_in_every_state_and_twice(reach: Callable[[str], None], client: Client) -> None:
    create("x")
    reach("x")
    assert [client.ask("DELETE", "/hosts/x").status for _ in range(2)] == [204, 404]


@pytest.fixture(params=["home", "tmp", "images"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return a directory for foreign files, two of which the service cannot read."""
    path = {"home": HOME, "tmp": Path("/tmp"), "images": Path("/var/lib/libvirt/images")}
    chosen = path[request.param] / "foreign"
    chosen.mkdir(parents=True)
    yield chosen
    call("rm", "-r", str(chosen))


def test_r50_foreign_disks_are_kept(folder: Path, client: Client) -> None:
    """One was attached by hand; one is another host's overlay of the disk of shctl's host."""
    foreign, overlay = folder / "foreign.img", folder / "overlay"
    foreign.write_bytes(b"foreign")
    create("x")
    disk = "/var/lib/shctl/volumes/x-sda"
    call(*"qemu-img create -q -f qcow2 -F raw -b".split(), disk, str(overlay))
    define(OTHER.format("tester", "qcow2", overlay))
    reply = client.ask("DELETE", "/hosts/x")
    assert (reply.status, reply.is_problem, Path(disk).exists()) == (409, True, True), reply
    call("virsh", "undefine", "tester")
    call("virsh", "attach-disk", "x", str(foreign), "sdb", "--config", "--targetbus", "scsi")
    # It may be deleted, or kept because of an unreadable disk; this test allows both.
    if client.ask("DELETE", "/hosts/x").status == 409:
        ok("hosts", "delete", "x", "--yes")
    assert foreign.read_bytes() == b"foreign"
    assert not Path(disk).exists()


def test_r50_storm(client: Client, figures: Figures) -> None:
    storm = Storm(client, ["a", "b"])
    with storm.raging(3, 1):
        eventually(lambda: storm.answers[201] >= rounds(20, 3), 120)
    figures.count("requests", storm.answers.total())
    assert storm.failures == []
    assert set(storm.answers) <= {201, 204, 404, 409}, storm.answers
    assert client.ok("GET", "/doctor") == []


@pytest.fixture(scope="module")
def trees() -> Iterator[installations.Trees]:
    with installations.serving() as trees:
        yield trees


def test_r50_installations(client: Client, trees: installations.Trees) -> None:
    """Twice from one tree; the second from the cache, which shares no files with QEMU."""
    body = {**BODY, "install": True, "location": trees.of(End.RESET)}
    for name in ("one", "two"):
        client.ok("POST", f"/hosts/{name}", body)
        host = client.ok("GET", f"/hosts/{name}/wait?for=installed&timeout=60")
        assert host["install"]["phase"] == "installed"
        client.ok("DELETE", f"/hosts/{name}")
    linked = [path for path in Path("/var/cache/shctl").rglob("*") if path.is_file()]
    assert linked
    assert all(path.stat().st_nlink == 1 for path in linked)


def test_r50_changes(client: Client) -> None:
    """The service may not read libvirt's directory of UEFI variables, nor remove anything there."""
    variables = Path("/var/lib/libvirt/qemu/nvram/x_VARS.fd")
    create("x")
    values = {"firmware": "uefi", "memory": 80, "cpus": 2, "autostart": True}
    assert len(client.ok("PATCH", "/hosts/x", values)["changes"]) == 4
    client.ok("PUT", "/hosts/x/start")
    assert variables.exists()
    client.ok("PATCH", "/hosts/x", {"firmware": "bios"})
    client.ok("PUT", "/hosts/x/stop", {"force": True})
    assert client.ok("GET", "/hosts/x")["firmware"] == "bios"
    client.ok("DELETE", "/hosts/x")
    assert not variables.exists()


def test_r50_changes_of_disks(client: Client) -> None:
    create("x", "--start")
    assert client.ok("POST", "/hosts/x/disks", {"size": 1})["applied"] == "now"
    assert client.ok("PATCH", "/hosts/x/disks/sdb", {"size": 2})["size"] == 2
    client.ok("DELETE", "/hosts/x/disks/sdb")
    assert [disk["name"] for disk in client.ok("GET", "/hosts/x/disks")] == ["sda"]
    client.ok("DELETE", "/hosts/x")


def test_r50_adopted_host_is_deleted_with_its_owned_disk(client: Client) -> None:
    """The service may write to libvirt's image directory; elsewhere it reports an error."""
    image = Path("/var/lib/libvirt/images/old.img")
    image.write_bytes(b"old")
    define(OTHER.format("old", "raw", image))
    ok("hosts", "adopt", "old", "--own-disk", str(image))
    client.ok("DELETE", "/hosts/old")
    assert not image.exists()


def test_r50_doctor_reports_the_same_as_for_root(client: Client) -> None:
    left = Path("/var/lib/shctl/boot/nobody")
    left.mkdir(parents=True)
    try:
        by_root = json.loads(run("-o", "json", "doctor").out)
        assert client.ok("GET", "/doctor") == by_root
        assert [finding["name"] for finding in by_root] == [str(left)]
    finally:
        left.rmdir()
