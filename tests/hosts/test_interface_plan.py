"""The plans of changes of interfaces; none of these tests needs a hypervisor."""

from typing import Any

import pytest

from shctl.common import names
from shctl.common.errors import Conflict, NotFound, TimedOut
from shctl.common.states import DomainState
from shctl.hosts import interface_state
from shctl.hosts.change_state import HostState
from shctl.hosts.interface_plan import (
    Running,
    Target,
    plan_addition,
    plan_removal,
    plan_setting,
)
from tests.hosts.test_setting_plan import state as state_of

ZERO, ONE = names.mac("web1", 0), names.mac("web1", 1)
NET_B = Target("b", active=True, tags=(20, ()))
INACTIVE = Target("b", active=False, tags=(20, ()))
MOVE = ["unplug", "plug", "check", "link"]


def xml(*interfaces: tuple[str, str, str], running: bool = False, kind: str = "network") -> str:
    """Return the XML of a domain with these interfaces: MAC address, network and link."""
    devices = "".join(
        f"<interface type='{kind}'><mac address='{mac}'/><source network='{network}'/>"
        f"<link state='{link}'/><address type='pci' bus='0x0{number + 1}'/></interface>"
        for number, (mac, network, link) in enumerate(interfaces)
    )
    ports = "".join(
        f"<controller type='pci' index='{n}' model='pcie-root-port'/>" for n in (1, 2, 3)
    )
    root = "<controller type='pci' index='0' model='pcie-root'/>"
    number = " id='1'" if running else ""
    return (
        f"<domain type='qemu'{number}><name>web1</name><memory>65536</memory><os/><devices>{root}"
        f"{ports}{devices}</devices></domain>"
    )


STORED = xml((ZERO, "a", "up"))


def state(stored: str = STORED, running: str | None = None) -> HostState:
    return state_of(stored, running)


def live(text: str, guest: DomainState = DomainState.RUNNING) -> tuple[HostState, Running]:
    """Return a running host that is stored as STORED, and how it runs."""
    return state(STORED, text), Running(text, guest)


def actions(plan: Any) -> list[str]:
    return [step.action for step in plan.steps]


def changes(plan: Any) -> list[tuple[str, Any, str]]:
    return [(change.key, change.value, change.applied) for change in plan.target.changes]


def test_addition_to_a_host_that_is_off() -> None:
    plan = plan_addition(state(), None, INACTIVE, "up")
    assert actions(plan) == ["define"]
    assert (plan.target.index, plan.target.mac, plan.target.vlan) == (1, ONE, 20)
    assert (plan.target.key, plan.target.applied) == ("1", "next start")


def test_addition_to_a_running_host() -> None:
    found, running = live(xml((ZERO, "a", "up"), running=True))
    plan = plan_addition(found, running, NET_B, "up")
    assert (actions(plan), plan.target.applied) == (["define", "plug", "check", "link"], "now")
    assert actions(plan_addition(found, running, NET_B, "down")) == ["define", "plug", "check"]
    with pytest.raises(Conflict, match="inactive"):
        plan_addition(found, running, INACTIVE, "up")


def test_addition_takes_no_index_of_what_runs_without_being_stored() -> None:
    found, running = live(xml((ZERO, "a", "up"), (ONE, "b", "down"), running=True))
    assert plan_addition(found, running, NET_B, "up").target.index == 2


def test_another_network() -> None:
    plan = plan_setting(state(), None, 0, INACTIVE, None)
    assert (actions(plan), changes(plan)) == (["define"], [("network", "b", "next start")])
    found, running = live(xml((ZERO, "a", "up"), running=True))
    plan = plan_setting(found, running, 0, NET_B, "down")
    assert actions(plan) == ["define", "unplug", "plug", "check"]
    assert changes(plan) == [("network", "b", "now"), ("link", "down", "now")]
    with pytest.raises(Conflict, match="inactive"):
        plan_setting(found, running, 0, INACTIVE, None)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(ZERO, "c", "up")], MOVE),  # killed after it was stored
        ([], MOVE[1:]),  # after it was unplugged
        ([(ZERO, "a", "down")], ["link"]),  # after it was plugged in
        ([(ZERO, "a", "up")], []),
    ],
)
def test_the_same_command_completes_what_was_interrupted(
    runs: list[tuple[str, str, str]], expected: list[str]
) -> None:
    found, running = live(xml(*runs, running=True))
    plan = plan_setting(found, running, 0, Target("a", active=True, tags=(10, ())), None)
    assert actions(plan) == expected


def test_a_link() -> None:
    found, running = live(xml((ZERO, "a", "up"), running=True))
    plan = plan_setting(found, running, 0, None, "down")
    assert (actions(plan), changes(plan)) == (["define", "link"], [("link", "down", "now")])
    assert plan_setting(found, running, 0, None, "up").target.changes == ()


def test_removal() -> None:
    plan = plan_removal(state(), None, 0)
    assert (actions(plan), changes(plan)) == (["define"], [("interfaces.0", None, "next start")])
    found, running = live(xml((ZERO, "a", "up"), (ONE, "b", "down"), running=True))
    assert actions(plan_removal(found, running, 0)) == ["define", "unplug"]
    assert actions(plan_removal(found, running, 1)) == ["unplug"]


@pytest.mark.parametrize("guest", [DomainState.PAUSED, DomainState.PMSUSPENDED])
def test_a_guest_that_cannot_release_anything(guest: DomainState) -> None:
    found, running = live(xml((ZERO, "a", "up"), running=True), guest)
    with pytest.raises(Conflict, match=f"is {guest}"):
        plan_removal(found, running, 0)


def test_what_cannot_be_changed() -> None:
    with pytest.raises(NotFound, match="its interfaces: 0"):
        plan_removal(state(), None, 1)
    with pytest.raises(NotFound, match="its interfaces: none"):
        plan_removal(state(xml()), None, 0)
    found, running = live(xml((ZERO, "a", "up"), (ONE, "b", "down"), running=True))
    with pytest.raises(Conflict, match="not in its definition"):
        plan_setting(found, running, 1, None, "up")
    with pytest.raises(Conflict, match="of type hostdev"):
        plan_setting(state(xml((ZERO, "a", "up"), kind="hostdev")), None, 0, NET_B, None)
    with pytest.raises(Conflict, match="the same MAC address"):
        plan_removal(state(xml((ZERO, "a", "up"), (ZERO, "b", "up"))), None, 0)
    with pytest.raises(TimedOut, match="does not answer"):
        interface_state.check_answers(state_of(STORED, active=True))
