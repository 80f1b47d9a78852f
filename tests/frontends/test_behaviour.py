"""What shctl does, whichever face it is asked by: the same tests for both."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import installations
from tests.frontends.frontend import Answer, Face
from tests.guests import End
from tests.support import call, define, eventually, port_of, port_rows

HOST: dict[str, Any] = {"memory": 64, "disks": [1], "networks": ["vlan10"]}
FOREIGN = (
    "<domain type='qemu'><name>{}</name><memory>65536</memory><os><type>hvm</type></os></domain>"
)


@pytest.fixture
def web1(face: Face) -> Iterator[Answer]:
    """Make a host, and remove it again."""
    made = face.run("hosts create", "web1", **HOST)
    assert made.ok, made
    yield made
    assert face.run("hosts delete", "web1", if_exists=True).ok


def test_a_host_from_creation_to_deletion(face: Face) -> None:
    made = face.run("hosts create", "ns.example.com", **{**HOST, "disks": [1, 2], "cpus": 2})
    assert made.ok
    assert made.data["state"] == "shut off"
    assert [disk["size"] for disk in made.data["disks"]] == [1.0, 2.0]
    assert face.run("hosts show", "ns.example.com").data == made.data
    assert face.run("hosts start", "ns.example.com").ok
    assert face.run("hosts start", "ns.example.com").ok
    shown = face.run("hosts wait", "ns.example.com", **{"for": "running", "timeout": 5}).data
    assert (shown["state"], shown["interfaces"][0]["vlan"]) == ("running", 10)
    assert port_rows()[port_of("ns.example.com")]["tag"] == 10
    assert face.run("hosts reboot", "ns.example.com", force=True).ok
    assert face.run("hosts stop", "ns.example.com", force=True).ok
    assert face.run("hosts stop", "ns.example.com").ok
    assert face.run("hosts delete", "ns.example.com").ok
    assert face.run("hosts show", "ns.example.com").status == 404


def test_lists_have_what_others_made(face: Face) -> None:
    define(FOREIGN.format("foreign"))
    (row,) = [row for row in face.run("hosts list").data if row["name"] == "foreign"]
    assert set(row) == {"id", "name", "state"}
    assert face.run("hosts show", "foreign").data["managed"] is False
    refused = face.run("hosts delete", "foreign")
    assert (refused.status, "adopt" in refused.detail) == (409, True)
    call("virsh", "-q", "-c", "qemu:///system", "undefine", "foreign")


def test_a_name_is_taken_once(face: Face, web1: Answer) -> None:
    assert face.run("hosts create", "web1", **HOST).status == 409
    kept = face.run("hosts create", "web1", **HOST, if_not_exists=True)
    assert kept.data == web1.data


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
def test_wrong_input(face: Face, field: str, change: dict[str, Any]) -> None:
    answer = face.run("hosts create", "web1", **{**HOST, **change})
    assert answer.status == 400
    assert answer.field in (field, None)
    # The command line says --disk where JSON says disks, and has hyphens.
    assert field.removesuffix("s") in answer.detail.replace("-", "_")
    assert face.run("hosts show", "web1").status == 404


@pytest.mark.parametrize("missing", list(HOST))
def test_missing_input(face: Face, missing: str) -> None:
    given = {key: value for key, value in HOST.items() if key != missing}
    assert face.run("hosts create", "web1", **given).status == 400


@pytest.mark.parametrize("name", ["Web1", "-x", "a b", "a_b", "a..b", "$(id)", "é", "a" * 201])
def test_names_that_no_new_host_may_have(face: Face, name: str) -> None:
    assert face.run("hosts create", name, **HOST).status == 400


@pytest.mark.parametrize(
    "command", ["hosts show", "hosts delete", "hosts start", "hosts stop", "hosts reboot",
                "hosts log", "networks show", "networks delete"],
)  # fmt: skip
def test_what_does_not_exist(face: Face, command: str) -> None:
    answer = face.run(command, "nobody")
    assert (answer.status, "nobody" in answer.detail) == (404, True)


def test_a_deletion_that_may_find_nothing(face: Face) -> None:
    assert face.run("hosts delete", "nobody", if_exists=True).ok
    assert face.run("networks delete", "nobody", if_exists=True).ok


def test_a_network_from_creation_to_deletion(face: Face) -> None:
    made = face.run("networks create", "lab", bridge="br0", vlan=20, trunk=[30, 40])
    assert made.ok
    assert (made.data["vlan"], made.data["trunk"]) == (20, [30, 40])
    assert face.run("networks create", "lab", bridge="br0", vlan=20).status == 409
    assert {"name": "lab", "state": "active", "autostart": "yes", "persistent": "yes"} in face.run(
        "networks list"
    ).data
    assert face.run("networks show", "lab").data == made.data
    assert face.run("networks delete", "lab").ok


@pytest.mark.parametrize(
    ("field", "change"),
    [("bridge", {"bridge": "br9"}), ("vlan", {"vlan": 0}), ("vlan", {"vlan": 4095}),
     ("trunk", {"trunk": [20]}), ("trunk", {"trunk": [5, 5]})],
)  # fmt: skip
def test_wrong_networks(face: Face, field: str, change: dict[str, Any]) -> None:
    answer = face.run("networks create", "lab", **{"bridge": "br0", "vlan": 20, **change})
    assert (answer.status, field in answer.detail) == (400, True)


def test_a_network_in_use(face: Face, web1: Answer) -> None:
    del web1
    assert face.run("networks show", "vlan10").data["hosts"] == ["web1"]
    answer = face.run("networks delete", "vlan10")
    assert (answer.status, "web1" in answer.detail) == (409, True)


def test_wrong_states(face: Face, web1: Answer) -> None:
    del web1
    assert face.run("hosts reboot", "web1").status == 409
    assert face.run("hosts wait", "web1", **{"for": "installed"}).status == 409
    assert face.run("hosts wait", "web1", **{"for": "running", "timeout": 0}).status == 504


def test_a_shutdown_that_takes_too_long(face: Face, web1: Answer) -> None:
    """The blank host's firmware does not listen to the power button."""
    del web1
    assert face.run("hosts start", "web1").ok
    assert face.run("hosts stop", "web1", timeout=0.3).status == 504
    assert face.run("hosts stop", "web1", timeout=0.3, force=True).ok
    assert face.run("hosts show", "web1").data["state"] == "shut off"


def _phase(face: Face, name: str) -> Callable[[], bool]:
    return lambda: face.run("hosts show", name).data["install"]["phase"] != "installing"


def test_an_installation(face: Face) -> None:
    with installations.serving() as trees:
        location = trees.of(End.POWER_OFF)
        probed = face.run("trees probe", location)
        assert probed.ok
        given = {**HOST, "install": True, "location": location, "cmdline": "quiet"}
        assert face.run("hosts create", "web1", **given).ok
        done = face.run("hosts wait", "web1", **{"for": "installed", "timeout": 30})
    assert done.data["install"]["phase"] == "installed"
    assert installations.SAY in face.run("hosts log", "web1").data
    assert face.run("hosts delete", "web1").ok


def test_an_installation_that_fails(face: Face) -> None:
    with installations.serving() as trees:
        given = {**HOST, "install": True, "location": trees.of(End.HALT), "install_timeout": 1}
        assert face.run("hosts create", "web1", **given).ok
        eventually(_phase(face, "web1"))
        answer = face.run("hosts wait", "web1", **{"for": "installed", "timeout": 30})
    assert (answer.status, "deadline" in answer.detail) == (502, True)
    assert face.run("hosts delete", "web1").ok


def test_a_tree_that_is_none(face: Face) -> None:
    with installations.serving() as trees:
        location = f"{trees.server.url}/nothing/here"
        assert face.run("trees probe", location).status == 400
        given = {**HOST, "install": True, "location": location}
        assert face.run("hosts create", "web1", **given).status == 400
    assert face.run("hosts show", "web1").status == 404


def test_nothing_to_put_right(face: Face) -> None:
    assert face.run("doctor").data == []
