"""`shctl status` on libvirt's test driver, which has neither QEMU nor Open vSwitch."""

import json
from typing import Any

import pytest

from shctl.common.output import render
from shctl.common.status import MemoryUse, PoolUse, VlanUse
from shctl.hypervisor.connection import Hypervisor
from shctl.networks.switch import PortRow
from shctl.networks.vlans import in_use
from shctl.rest.metrics import Metrics
from shctl.xml import network
from tests.support import ok, run

TEST = ("-c", "test:///default")
GROUPS = (
    "<network><name>n</name><bridge name='br0'/><vlan><tag id='20'/></vlan>"
    "<portgroup name='a'><vlan><tag id='30'/></vlan></portgroup>"
    "<portgroup name='b'><vlan trunk='yes'><tag id='1' nativeMode='untagged'/><tag id='40'/></vlan>"
    "</portgroup><portgroup name='c'/></network>"
)


def data() -> Any:
    return json.loads(ok(*TEST, "-o", "json", "status"))


def test_simulated_hypervisor() -> None:
    found = data()
    assert found["problems"] == []
    assert found["hypervisor"]["uri"] == "test:///default"
    assert found["memory"] == {"total": 3072, "used": 8192, "free": 0, "available": 3072}
    assert found["cpus"] == {"total": 16, "used": 2, "free": 14}
    assert found["hosts"] == [{"state": "running", "count": 1}]
    assert found["pools"] == [
        {"name": "default-pool", "state": "active", "capacity": 100.0, "allocation": 0.0,
         "available": 100.0},
    ]  # fmt: skip
    assert found["vlans"] == []
    assert (found["versions"]["qemu"], found["versions"]["openvswitch"]) == (None, None)


def test_table_and_name() -> None:
    lines = ok(*TEST, "status").splitlines()
    assert "  FREE       0 MiB" in lines
    assert "  USED   2" in lines
    assert "  default-pool  active  100 GiB   0 GiB       100 GiB" in lines
    assert lines[-1] == "PROBLEMS    -"
    assert ok(*TEST, "-o", "name", "status") == f"{data()['hypervisor']['name']}\n"


def test_without_libvirt() -> None:
    done = run("-c", "nonsense:///", "status")
    assert (done.code, done.out, done.err.count("\n")) == (6, "", 1)


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (MemoryUse(8192, 4096, 4096, 512), "AVAILABLE 512 MiB"),
        (PoolUse("p", "active", 2.5, 0.25, 2.0), "AVAILABLE 2 GiB"),
        (PoolUse("p", "inactive", None, None, None), "AVAILABLE -"),
        (VlanUse(10, None, ()), "BRIDGE -"),
    ],
)
def test_units_are_those_of_the_class(row: object, shown: str) -> None:
    assert shown in [" ".join(line.split()) for line in render(row, "table").splitlines()]


def test_all_tags_of_a_network() -> None:
    assert network.all_tags(GROUPS) == {1, 20, 30, 40}
    assert network.all_tags("<network><name>n</name></network>") == frozenset()


def test_vlans_of_ports() -> None:
    """Trunks of ports and ports without a tag do not count."""
    ports = [
        PortRow("1", "a", "br1", 20, (), None, None),
        PortRow("2", "b", "br0", 20, (), None, None),
        PortRow("3", "c", "br0", 20, (), None, None),
        PortRow("4", "up", "br0", None, (10, 11), None, None),
        PortRow("5", "zero", "br0", 0, (), None, None),
    ]
    assert in_use(Hypervisor("test:///default"), ports) == (
        VlanUse(20, "br0", ()),
        VlanUse(20, "br1", ()),
    )


def test_gauges() -> None:
    lines = Metrics(Hypervisor("test:///default")).text().splitlines()
    numbers = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert {name: float(number) for name, number in numbers.items()} == {
        "shctl_libvirt_up": 1,
        'shctl_hosts{state="running"}': 1,
        'shctl_memory_bytes{kind="total"}': 3 * 2**30,
        'shctl_memory_bytes{kind="used"}': 8 * 2**30,
        'shctl_memory_bytes{kind="free"}': 0,
        'shctl_memory_bytes{kind="available"}': 3 * 2**30,
        'shctl_cpus{kind="total"}': 16,
        'shctl_cpus{kind="used"}': 2,
        'shctl_cpus{kind="free"}': 14,
        'shctl_pool_active{pool="default-pool"}': 1,
        'shctl_pool_bytes{kind="capacity",pool="default-pool"}': 100 * 2**30,
        'shctl_pool_bytes{kind="allocation",pool="default-pool"}': 0,
        'shctl_pool_bytes{kind="available",pool="default-pool"}': 100 * 2**30,
        **{line.rsplit(" ", 1)[0]: 1 for line in lines if line.startswith("shctl_info{")},
    }


def test_gauges_without_libvirt() -> None:
    lines = Metrics(Hypervisor("test:///nowhere.xml")).text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["shctl_libvirt_up 0.0"]
