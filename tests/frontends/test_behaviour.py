"""Behaviour that the command line and REST share, tested through both."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import installations
from tests.frontends.frontend import Answer, Frontend
from tests.guests import End
from tests.support import call, define, eventually, port_of, port_rows

pytestmark = pytest.mark.hypervisor

HOST: dict[str, Any] = {"memory": 64, "disks": [1], "networks": ["vlan10"]}
FOREIGN = (
    "<domain type='qemu'><name>{}</name><memory>65536</memory><os><type>hvm</type></os></domain>"
)


@pytest.fixture
def web1(frontend: Frontend) -> Iterator[Answer]:
    """Create a host, and delete it after the test."""
    made = frontend.run("hosts create", "web1", **HOST)
    assert made.ok, made
    yield made
    assert frontend.run("hosts delete", "web1", if_exists=True).ok


def test_a_host_from_creation_to_deletion(frontend: Frontend) -> None:
    made = frontend.run("hosts create", "ns.example.com", **{**HOST, "disks": [1, 2], "cpus": 2})
    assert made.ok
    assert made.data["state"] == "shut off"
    assert [disk["size"] for disk in made.data["disks"]] == [1.0, 2.0]
    assert frontend.run("hosts show", "ns.example.com").data == made.data
    assert frontend.run("hosts start", "ns.example.com").ok
    assert frontend.run("hosts start", "ns.example.com").ok
    shown = frontend.run("hosts wait", "ns.example.com", **{"for": "running", "timeout": 5}).data
    assert (shown["state"], shown["interfaces"][0]["vlan"]) == ("running", 10)
    assert port_rows()[port_of("ns.example.com")]["tag"] == 10
    assert frontend.run("hosts reboot", "ns.example.com", force=True).ok
    assert frontend.run("hosts stop", "ns.example.com", force=True).ok
    assert frontend.run("hosts stop", "ns.example.com").ok
    assert frontend.run("hosts delete", "ns.example.com").ok
    assert frontend.run("hosts show", "ns.example.com").status == 404


def test_lists_include_domains_of_other_tools(frontend: Frontend) -> None:
    define(FOREIGN.format("foreign"))
    (row,) = [row for row in frontend.run("hosts list").data if row["name"] == "foreign"]
    assert set(row) == {"id", "name", "state"}
    assert frontend.run("hosts show", "foreign").data["managed"] is False
    refused = frontend.run("hosts delete", "foreign")
    assert (refused.status, "adopt" in refused.detail) == (409, True)
    call("virsh", "-q", "-c", "qemu:///system", "undefine", "foreign")


def test_a_name_is_unique(frontend: Frontend, web1: Answer) -> None:
    assert frontend.run("hosts create", "web1", **HOST).status == 409
    kept = frontend.run("hosts create", "web1", **HOST, if_not_exists=True)
    assert kept.data == web1.data


def test_creation_dry_run_changes_nothing(
    frontend: Frontend, snapshot: Callable[[], set[tuple[str, str]]]
) -> None:
    before, host = snapshot(), {**HOST, "disks": [1, 2]}
    planned = frontend.run("hosts create", "dry", **host, start=True, dry_run=True)
    assert planned.ok
    assert snapshot() == before
    assert planned.data["name"] == "dry"
    steps = [(step["action"], step["target"]) for step in planned.data["steps"]]
    assert steps[0] == ("define", "host dry")
    assert ("create", "volume dry-sdb in pool shctl") in steps
    assert steps[-2:] == [("start", "running host dry"), ("complete", "host dry")]
    assert all(step["description"].endswith(".") for step in planned.data["steps"])
    assert [disk["size"] for disk in planned.data["disks"]] == [1, 2]
    (interface,) = planned.data["interfaces"]
    made = frontend.run("hosts create", "dry", **host)
    assert interface["mac"] == made.data["interfaces"][0]["mac"]
    assert (interface["network"], interface["vlan"]) == ("vlan10", 10)
    assert frontend.run("hosts create", "dry", **HOST, dry_run=True).status == 409
    kept = frontend.run("hosts create", "dry", **host, dry_run=True, if_not_exists=True)
    assert kept.data["steps"] == []
    assert frontend.run("hosts delete", "dry").ok


def test_creation_dry_run_reports_the_same(frontend: Frontend) -> None:
    for change in ({"networks": ["nowhere"]}, {"pool": "nowhere"}, {"memory": 2**24}):
        planned = frontend.run("hosts create", "dry", **{**HOST, **change}, dry_run=True)
        assert planned == frontend.run("hosts create", "dry", **{**HOST, **change})
        assert planned.status in (400, 507)


def test_installation_dry_run_downloads_nothing(frontend: Frontend) -> None:
    with installations.serving() as trees:
        location = trees.of(End.SPIN)
        planned = frontend.run(
            "hosts create", "dry", **HOST, install=True, location=location, dry_run=True
        )
        assert planned.ok, planned
        assert planned.data["steps"][0]["action"] == "download"
        missing = frontend.run(
            "hosts create", "dry", **HOST, install=True, location=f"{location}/none", dry_run=True
        )
        assert (missing.status, missing.field) == (400, "location")
    assert frontend.run("hosts show", "dry").status == 404


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("memory", {"memory": 15}),
        ("memory", {"memory": 2**40}),
        ("disks", {"disks": [0]}),
        ("networks", {"networks": ["nowhere"]}),
        ("pool", {"pool": "nowhere"}),
        ("cpus", {"cpus": 0}),
        ("firmware", {"firmware": "coreboot"}),
        ("location", {"location": "http://127.0.0.1/"}),
        ("install_timeout", {"install_timeout": 9}),
        ("cmdline", {"cmdline": "quiet"}),
        ("location", {"install": True, "location": "ftp://127.0.0.1/"}),
    ],
)
def test_wrong_input(frontend: Frontend, field: str, change: dict[str, Any]) -> None:
    answer = frontend.run("hosts create", "web1", **{**HOST, **change})
    assert answer.status == 400
    assert answer.field in (field, None)
    # JSON has `disks` for --disk, and underscores for hyphens.
    assert field.removesuffix("s") in answer.detail.replace("-", "_")
    assert frontend.run("hosts show", "web1").status == 404


@pytest.mark.parametrize("missing", list(HOST))
def test_missing_input(frontend: Frontend, missing: str) -> None:
    given = {key: value for key, value in HOST.items() if key != missing}
    assert frontend.run("hosts create", "web1", **given).status == 400


@pytest.mark.parametrize("name", ["Web1", "-x", "a b", "a_b", "a..b", "$(id)", "é", "a" * 201])
def test_invalid_names_of_new_hosts(frontend: Frontend, name: str) -> None:
    assert frontend.run("hosts create", name, **HOST).status == 400


@pytest.mark.parametrize(
    "command", ["hosts show", "hosts delete", "hosts start", "hosts stop", "hosts reboot",
                "hosts log", "networks show", "networks delete"],
)  # fmt: skip
def test_missing_resources(frontend: Frontend, command: str) -> None:
    answer = frontend.run(command, "nobody")
    assert (answer.status, "nobody" in answer.detail) == (404, True)


def test_deletion_with_if_exists(frontend: Frontend) -> None:
    assert frontend.run("hosts delete", "nobody", if_exists=True).ok
    assert frontend.run("networks delete", "nobody", if_exists=True).ok


def test_deletion_dry_run(frontend: Frontend, web1: Answer, tmp_path: Path) -> None:
    """The plan lists what would be removed and kept; nothing changes."""
    disk, other = web1.data["disks"][0]["path"], tmp_path / "other.img"
    other.touch()
    call("virsh", "attach-disk", "web1", str(other), "sdb", "--config", "--targetbus", "scsi")
    before = frontend.run("hosts show", "web1").data
    planned = frontend.run("hosts delete", "web1", dry_run=True)
    assert planned.ok
    # The command line takes several names.
    (plan,) = planned.data if isinstance(planned.data, list) else [planned.data]
    assert set(plan) == {"name", "steps", "kept"}
    steps = [(step["action"], step["target"]) for step in plan["steps"]]
    assert ("remove", f"disk {disk}") in steps
    assert steps[-1] == ("undefine", "host web1")
    assert all(step["description"] for step in plan["steps"])
    assert [kept["path"] for kept in plan["kept"]] == [str(other)]
    assert frontend.run("hosts show", "web1").data == before


def test_deletion_dry_run_fails_like_the_deletion(frontend: Frontend) -> None:
    assert frontend.run("hosts delete", "nobody", dry_run=True).status == 404
    assert frontend.run("hosts delete", "nobody", dry_run=True, if_exists=True).ok
    define(FOREIGN.format("foreign"))
    refused = frontend.run("hosts delete", "foreign", dry_run=True)
    assert (refused.status, "adopt" in refused.detail) == (409, True)
    call("virsh", "-q", "-c", "qemu:///system", "undefine", "foreign")


def test_a_network_from_creation_to_deletion(frontend: Frontend) -> None:
    made = frontend.run("networks create", "lab", bridge="br0", vlan=20, trunk=[30, 40])
    assert made.ok
    assert (made.data["vlan"], made.data["trunk"]) == (20, [30, 40])
    assert frontend.run("networks create", "lab", bridge="br0", vlan=20).status == 409
    assert {
        "name": "lab",
        "state": "active",
        "autostart": "yes",
        "persistent": "yes",
    } in frontend.run("networks list").data
    assert frontend.run("networks show", "lab").data == made.data
    assert frontend.run("networks delete", "lab").ok


@pytest.mark.parametrize(
    ("field", "change"),
    [("bridge", {"bridge": "br9"}), ("vlan", {"vlan": 0}), ("vlan", {"vlan": 4095}),
     ("trunk", {"trunk": [20]}), ("trunk", {"trunk": [5, 5]})],
)  # fmt: skip
def test_wrong_networks(frontend: Frontend, field: str, change: dict[str, Any]) -> None:
    answer = frontend.run("networks create", "lab", **{"bridge": "br0", "vlan": 20, **change})
    assert (answer.status, field in answer.detail) == (400, True)


def test_a_network_in_use(frontend: Frontend, web1: Answer) -> None:
    del web1
    assert frontend.run("networks show", "vlan10").data["hosts"] == ["web1"]
    answer = frontend.run("networks delete", "vlan10")
    assert (answer.status, "web1" in answer.detail) == (409, True)


def test_wrong_states(frontend: Frontend, web1: Answer) -> None:
    del web1
    assert frontend.run("hosts reboot", "web1").status == 409
    assert frontend.run("hosts wait", "web1", **{"for": "installed"}).status == 409
    assert frontend.run("hosts wait", "web1", **{"for": "running", "timeout": 0}).status == 504


def test_a_shutdown_that_takes_too_long(frontend: Frontend, web1: Answer) -> None:
    """Without an operating system, nothing handles the power button."""
    del web1
    assert frontend.run("hosts start", "web1").ok
    assert frontend.run("hosts stop", "web1", timeout=0.3).status == 504
    assert frontend.run("hosts stop", "web1", timeout=0.3, force=True).ok
    assert frontend.run("hosts show", "web1").data["state"] == "shut off"


def _phase(frontend: Frontend, name: str) -> Callable[[], bool]:
    return lambda: frontend.run("hosts show", name).data["install"]["phase"] != "installing"


def test_an_installation(frontend: Frontend) -> None:
    with installations.serving() as trees:
        location = trees.of(End.POWER_OFF)
        probed = frontend.run("trees probe", location)
        assert probed.ok
        given = {**HOST, "install": True, "location": location, "cmdline": "quiet"}
        assert frontend.run("hosts create", "web1", **given).ok
        done = frontend.run("hosts wait", "web1", **{"for": "installed", "timeout": 30})
    assert done.data["install"]["phase"] == "installed"
    assert installations.SAY in frontend.run("hosts log", "web1").data
    assert frontend.run("hosts delete", "web1").ok


def test_an_installation_that_fails(frontend: Frontend) -> None:
    with installations.serving() as trees:
        given = {**HOST, "install": True, "location": trees.of(End.HALT), "install_timeout": 1}
        assert frontend.run("hosts create", "web1", **given).ok
        eventually(_phase(frontend, "web1"))
        answer = frontend.run("hosts wait", "web1", **{"for": "installed", "timeout": 30})
    assert (answer.status, "deadline" in answer.detail) == (502, True)
    assert frontend.run("hosts delete", "web1").ok


def test_a_location_without_a_tree(frontend: Frontend) -> None:
    with installations.serving() as trees:
        location = f"{trees.server.url}/nothing/here"
        assert frontend.run("trees probe", location).status == 400
        given = {**HOST, "install": True, "location": location}
        assert frontend.run("hosts create", "web1", **given).status == 400
    assert frontend.run("hosts show", "web1").status == 404


def test_doctor_with_nothing_to_fix(frontend: Frontend) -> None:
    assert frontend.run("doctor").data == []
