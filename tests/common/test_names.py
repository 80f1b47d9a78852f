"""Names: which are allowed, and the values derived from them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shctl.common import names
from shctl.common.errors import InvalidInput

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(
    "name", ["a", "0", "web1", "ns.example.com", "a-b", "a--b", "x" * 63, f"{'y' * 63}." * 3 + "z"]
)
def test_host_name_allowed(name: str) -> None:
    assert names.check_host(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a.", ".a", "a..b", "-a", "a-", "a.-b", "A", "a_b", "a b", "a\n", "a\0", "é",
     "٣", "a/b", "../a", "x" * 64, "x." * 100 + "x", "$(id)", "<b>", "*"],
)  # fmt: skip
def test_host_name_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        names.check_host(name)
    assert caught.value.field == "name"
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize("name", ["x" * 64, "web..", "-a"])
def test_error_states_the_broken_rule(name: str) -> None:
    with pytest.raises(InvalidInput, match="parts of 1 to 63 .* inner '-', joined by '.'"):
        names.check_host(name)


@pytest.mark.parametrize("name", ["a", "vlan10", "ns_example_com_vlan_10", "A.b-C", "0-"])
def test_network_name_allowed(name: str) -> None:
    assert names.check_network(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a..b", "_a", "-a", ".a", "a b", "a\n", "é", "a/b", "x" * 201, "a;b"]
)
def test_network_name_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        names.check_network(name)


@pytest.mark.parametrize("name", ["A b", "-x", "$(id)", "<b>", "*", "é", "."])
def test_names_of_other_tools_can_be_looked_up(name: str) -> None:
    assert names.check_text(name) == name


@pytest.mark.parametrize("name", ["", "a\n", "a\0b", "\x1b[31m", "\udcff", "x" * 801])
def test_text_that_is_not_a_name(name: str) -> None:
    with pytest.raises(InvalidInput):
        names.check_text(name)


@pytest.mark.parametrize(
    ("index", "target"),
    [(0, "sda"), (1, "sdb"), (25, "sdz"), (26, "sdaa"), (701, "sdzz"), (702, "sdaaa")],
)
def test_disk_target(index: int, target: str) -> None:
    assert names.disk_target(index) == target


def test_derived_values_never_change() -> None:
    """A rebuilt host keeps its DHCP lease: these values are part of the interface."""
    assert names.mac("web1", 0) == "52:1f:6f:42:5c:96"
    assert names.mac("web1", 1) == "52:cf:1b:43:d3:93"
    assert names.wwn("web1", "sda") == "36320bf0aef0d870"
    assert names.serial("web1", "sda") == "SHCTL2607ABF9C3E"
    assert names.volume("web1", "sda") == "web1-sda"


@given(HOST, st.integers(0, 30))
def test_mac_is_local_and_unicast(host: str, index: int) -> None:
    mac = names.mac(host, index)
    assert re.fullmatch("[0-9a-f]{2}(:[0-9a-f]{2}){5}", mac)
    assert int(mac[:2], 16) & 3 == 2


@given(HOST, HOST, st.integers(0, 30), st.integers(0, 30))
def test_no_two_disks_share_a_volume(one: str, other: str, first: int, second: int) -> None:
    volumes = [names.volume(h, names.disk_target(i)) for h, i in ((one, first), (other, second))]
    assert (volumes[0] == volumes[1]) == ((one, first) == (other, second))


@given(HOST)
def test_generated_names_are_valid(host: str) -> None:
    assert names.check_host(host) == host


@given(st.text(max_size=30))
def test_valid_names_are_plain(name: str) -> None:
    for check, alphabet in ((names.check_host, r"[a-z0-9.-]+"), (names.check_network, r"[\w.-]+")):
        try:
            check(name)
        except InvalidInput:
            continue
        assert re.fullmatch(alphabet, name, re.ASCII)
        assert ".." not in name


def test_indexes_of_interfaces() -> None:
    """An index follows from the MAC address; other addresses get what is free, in order."""
    zero, two, foreign = names.mac("web1", 0), names.mac("web1", 2), "52:54:00:00:00:01"
    assert names.interface_indexes("web1", [zero, two]) == {zero: 0, two: 2}
    assert names.interface_indexes("web1", [foreign, zero, "", two]) == {
        foreign: 1, zero: 0, "": 3, two: 2,
    }  # fmt: skip
    assert names.interface_indexes("web1", [foreign, foreign]) == {foreign: 0}
    assert names.interface_indexes("web1", []) == {}
