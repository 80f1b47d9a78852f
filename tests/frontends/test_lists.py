"""Lists with filters and columns, on the command line and over REST."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.frontends.frontend import Answer, Frontend
from tests.support import call, define, ok, qemu_pid, stopped

pytestmark = pytest.mark.hypervisor

HOSTS: dict[str, dict[str, Any]] = {
    "web1": {"memory": 64, "disks": [1], "networks": ["vlan10"], "start": True},
    "web2": {"memory": 128, "cpus": 2, "disks": [1], "networks": ["vlan20", "vlan10"]},
    "web10": {"memory": 96, "disks": [1], "networks": ["vlan20"], "autostart": True},
}


@pytest.fixture(scope="module")
def rack(frontend: Frontend) -> Iterator[Frontend]:
    """Return the frontend of a hypervisor with three hosts."""
    given = {"bridge": "br0", "vlan": 20, "trunk": [21, 22]}
    assert frontend.run("networks create", "vlan20", **given).ok
    for name, host in HOSTS.items():
        assert frontend.run("hosts create", name, **host).ok
    yield frontend
    for name in HOSTS:
        assert frontend.run("hosts delete", name).ok
    assert frontend.run("networks delete", "vlan20").ok


def names(answer: Answer) -> list[str]:
    assert answer.ok, answer
    return [row["name"] for row in answer.data]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"web1", "web2", "web10"}),
        ({"pattern": "web1"}, {"web1"}),
        ({"pattern": "web1*"}, {"web1", "web10"}),
        ({"pattern": ["web1", "*2"]}, {"web1", "web2"}),
        ({"pattern": "WEB1"}, set()),
        ({"state": "running"}, {"web1"}),
        ({"state": ["running", "shut off"]}, {"web1", "web2", "web10"}),
        ({"network": "vlan10"}, {"web1", "web2"}),
        ({"network": "nowhere"}, set()),
        ({"vlan": 10}, {"web1", "web2"}),
        ({"vlan": 22}, {"web2", "web10"}),
        ({"install": "none", "vlan": 22, "pattern": "web2"}, {"web2"}),
        ({"install": "failed"}, set()),
    ],
)
def test_filters(rack: Frontend, given: dict[str, Any], expected: set[str]) -> None:
    assert set(names(rack.run("hosts list", **given))) == expected


def test_columns(rack: Frontend) -> None:
    (plain,) = rack.run("hosts list", pattern="web2").data
    assert set(plain) == {"id", "name", "state"}
    (chosen,) = rack.run("hosts list", pattern="web2", columns="cpus, name").data
    assert chosen == {"cpus": 2, "name": "web2"}
    (row,) = rack.run("hosts list", pattern="web2", columns="all").data
    shown = rack.run("hosts show", "web2").data
    for key in ("id", "name", "state", "memory", "cpus", "managed", "created", "autostart"):
        assert row[key] == shown[key], key
    assert (row["networks"], row["vlans"]) == (["vlan20", "vlan10"], [20, 21, 22, 10])
    assert (row["install"], row["addresses"]) == (None, [])
    assert 0 <= row["age"] < 600


def test_running_host_has_the_tags_of_its_ports(rack: Frontend) -> None:
    (row,) = rack.run("hosts list", pattern="web1", columns="vlans,memory,cpus").data
    assert row == {"vlans": [10], "memory": 64, "cpus": 1}


def test_a_hung_qemu_delays_no_list(rack: Frontend) -> None:
    """Each column is there: none asks QEMU."""
    (before,) = rack.run("hosts list", pattern="web1", columns="all").data
    with stopped(qemu_pid("web1")):
        (row,) = rack.run("hosts list", pattern="web1", columns="all").data
        assert ok("hosts", "list", "web1").splitlines()[1].split()[:4] == [
            "web1",
            "running",
            "-",
            "64",
        ]
    assert {**row, "age": None, "addresses": []} == {**before, "age": None, "addresses": []}


def test_sorting(rack: Frontend) -> None:
    columns = "name"
    assert names(rack.run("hosts list", sort="memory", columns=columns)) == [
        "web1", "web10", "web2",
    ]  # fmt: skip
    assert names(rack.run("hosts list", sort="-memory")) == ["web2", "web10", "web1"]
    # By numbers in names.
    assert names(rack.run("hosts list", columns=columns)) == ["web1", "web2", "web10"]
    assert names(rack.run("hosts list", sort="-name", columns=columns)) == [
        "web10", "web2", "web1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({"columns": "name,nonsense"}, "addresses"),
        ({"columns": ""}, "addresses"),
        ({"sort": "nonsense"}, "addresses"),
        ({"state": "nonsense"}, "running"),
        ({"install": "nonsense"}, "installed"),
        ({"vlan": 4095}, "4094"),
    ],
)
def test_wrong_values(rack: Frontend, given: dict[str, Any], known: str) -> None:
    answer = rack.run("hosts list", **given)
    assert (answer.status, known in answer.detail) == (400, True), answer


def test_networks(rack: Frontend) -> None:
    plain = rack.run("networks list").data
    assert {"name": "vlan20", "state": "active", "autostart": "yes", "persistent": "yes"} in plain
    columns = "name,bridge,vlan,trunk,hosts"
    (row,) = [r for r in rack.run("networks list", columns=columns).data if r["name"] == "vlan20"]
    assert row == {
        "name": "vlan20", "bridge": "br0", "vlan": 20, "trunk": [21, 22],
        "hosts": ["web2", "web10"],
    }  # fmt: skip
    assert rack.run("networks list", columns="nonsense").status == 400


def test_tables(rack: Frontend) -> None:
    header, first, *_ = ok("hosts", "list").splitlines()
    assert header.split() == [
        "NAME",
        "STATE",
        "INSTALL",
        "MEMORY",
        "CPUS",
        "VLAN",
        "ADDRESS",
        "AGE",
    ]
    assert first.split()[:6] == ["web1", "running", "-", "64", "MiB", "1"]
    header, *rows = ok("networks", "list").splitlines()
    assert header.split() == ["NAME", "STATE", "BRIDGE", "VLAN", "TRUNK", "HOSTS"]
    assert any(row.split()[2:] == ["br0", "20", "21,22", "web2,web10"] for row in rows)


BRIDGED = (
    "<domain type='qemu'><name>bridged</name><memory unit='MiB'>64</memory>"
    "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><interface type='bridge'>"
    "<source bridge='br0'/><virtualport type='openvswitch'/></interface></devices></domain>"
)


def test_map_of_hosts_without_a_network(rack: Frontend) -> None:
    define(BRIDGED)
    try:
        drawn = ok("networks", "map").splitlines()
        found = json.loads(ok("-o", "json", "networks", "map"))
    finally:
        call("virsh", "undefine", "bridged")
    below = drawn[drawn.index("br0") + 1 :]
    assert "bridged (shut off)" in [line.lstrip("│├└─|`- \xa0") for line in below]
    (bridge,) = [row for row in found if row["bridge"] == "br0"]
    assert bridge["hosts"] == [{"name": "bridged", "state": "shut off"}]


def test_map(rack: Frontend) -> None:
    drawn = ok("networks", "map").splitlines()
    assert "br0" in drawn
    (line,) = [line for line in drawn if "vlan20" in line]
    assert line.endswith("vlan20: VLAN 20, trunk 21,22")
    below = drawn[drawn.index(line) + 1 :][:2]
    assert [text.split(" ", 1)[1].lstrip("-─ ") for text in map(str.strip, below)]
    assert ["web2 (shut off)" in below[0], "web10 (shut off)" in below[1]] == [True, True]
