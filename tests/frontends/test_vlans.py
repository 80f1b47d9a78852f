"""Networks on the only bridge, and with the lowest free tag."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.frontends.frontend import Frontend
from tests.support import call

pytestmark = pytest.mark.hypervisor


@pytest.fixture
def made(frontend: Frontend) -> Iterator[list[str]]:
    """Return the names of networks to delete afterwards."""
    names: list[str] = []
    yield names
    for name in names:
        assert frontend.run("networks delete", name, if_exists=True).ok


def test_the_only_bridge(frontend: Frontend, made: list[str]) -> None:
    made.append("lab")
    assert frontend.run("networks create", "lab", vlan=300).data["bridge"] == "br0"
    assert frontend.run("networks create", "lab", vlan=300, if_not_exists=True).ok


def test_several_bridges(frontend: Frontend) -> None:
    call("ovs-vsctl", "add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev")
    try:
        answer = frontend.run("networks create", "lab", vlan=300)
    finally:
        call("ovs-vsctl", "del-br", "br1")
    assert (answer.status, "br0, br1" in answer.detail) == (400, True)


def test_lowest_free_tag(frontend: Frontend, made: list[str]) -> None:
    given = {"bridge": "br0", "vlan": "auto", "vlan_range": "300-303"}
    made += ["trunk", "a", "b", "c"]
    assert frontend.run("networks create", "trunk", bridge="br0", vlan=9, trunk=[300]).ok
    call("ovs-vsctl", "add-port", "br0", "p302", "tag=302", "--", "set", "interface", "p302",
         "type=internal")  # fmt: skip
    try:
        assert frontend.run("networks create", "a", **given).data["vlan"] == 301
        assert frontend.run("networks create", "b", **given).data["vlan"] == 303
        full = frontend.run("networks create", "c", **given)
        assert (full.status, "300 to 303" in full.detail) == (409, True)
        kept = frontend.run("networks create", "a", **given, if_not_exists=True)
        assert kept.data["vlan"] == 301
    finally:
        call("ovs-vsctl", "del-port", "p302")


def test_a_range_of_one_tag_in_use(frontend: Frontend, made: list[str]) -> None:
    given = {"bridge": "br0", "vlan": "auto", "vlan_range": "300-300"}
    made += ["a", "b"]
    assert frontend.run("networks create", "a", **given).data["vlan"] == 300
    assert frontend.run("networks create", "b", **given).status == 409


def test_the_trunk_has_none_of_the_free_tags(frontend: Frontend, made: list[str]) -> None:
    made.append("a")
    given = {"bridge": "br0", "vlan": "auto", "vlan_range": "300-303", "trunk": [300]}
    assert frontend.run("networks create", "a", **given).data["vlan"] == 301


def test_several_at_once_get_different_tags(frontend: Frontend, made: list[str]) -> None:
    made += [f"n{number}" for number in range(4)]
    given = {"bridge": "br0", "vlan": "auto", "vlan_range": "300-399"}
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda name: frontend.run("networks create", name, **given), made))
    assert sorted(answer.data["vlan"] for answer in answers) == [300, 301, 302, 303]


@pytest.mark.parametrize(
    "given",
    [
        {"vlan": "auto"},
        {"vlan": "automatic", "vlan_range": "1-2"},
        *({"vlan": "auto", "vlan_range": text} for text in ("0-5", "9-3", "1-4095", "10", "a-b")),
    ],
)
def test_wrong_values(frontend: Frontend, given: dict[str, str]) -> None:
    assert frontend.run("networks create", "lab", bridge="br0", **given).status == 400
    assert frontend.run("networks show", "lab").status == 404


def test_all_missing_parameters_are_named(frontend: Frontend) -> None:
    answer = frontend.run("hosts create", "web1")
    assert answer.status == 400
    assert all(word in answer.detail for word in ("memory", "disk", "network"))


def test_dry_run_of_a_creation(frontend: Frontend, made: list[str]) -> None:
    given = {"vlan": "auto", "vlan_range": "300-303"}
    planned = frontend.run("networks create", "lab", **given, dry_run=True)
    assert planned.ok, planned
    assert (planned.data["bridge"], planned.data["vlan"]) == ("br0", 300)
    assert [step["action"] for step in planned.data["steps"]] == ["define", "start"]
    assert frontend.run("networks show", "lab").status == 404
    made.append("lab")
    assert frontend.run("networks create", "lab", **given).data["vlan"] == 300
    assert frontend.run("networks create", "lab", **given, dry_run=True).status == 409
    kept = frontend.run("networks create", "lab", **given, dry_run=True, if_not_exists=True)
    assert kept.data["steps"] == []


def test_dry_run_of_a_deletion(frontend: Frontend, made: list[str]) -> None:
    made.append("lab")
    assert frontend.run("networks create", "lab", vlan=300).ok
    planned = frontend.run("networks delete", "lab", dry_run=True)
    plan = planned.data[0] if isinstance(planned.data, list) else planned.data
    assert [step["action"] for step in plan["steps"]] == ["stop", "undefine"]
    assert frontend.run("networks show", "lab").ok
    assert frontend.run("networks delete", "nobody", dry_run=True).status == 404
    assert frontend.run("networks delete", "nobody", dry_run=True, if_exists=True).ok
