"""Reasons why a guest does not run, from its state."""

import pytest

from shctl.common.errors import Conflict
from shctl.common.states import DomainState, Reason
from shctl.hosts import stalls
from shctl.hosts.stalls import Stall

START = "'shctl hosts start web1' resumes it"
OFF = "'shctl hosts stop web1 --force' powers it off"


@pytest.mark.parametrize("state", [DomainState.RUNNING, DomainState.IDLE, DomainState.SHUT_OFF])
def test_running_or_inactive_guest(state: DomainState) -> None:
    assert stalls.explain("web1", state, "booted") is None


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (DomainState.PAUSED, "user", Stall("is paused (user)", START)),
        (DomainState.PAUSED, None, Stall("is paused (reason unknown)", START)),
        (DomainState.PAUSED, "watchdog", Stall("is paused (watchdog)", START, is_fault=True)),
        (
            DomainState.PAUSED, "migrating",
            Stall("is paused (migrating)", "wait until that operation ends"),
        ),
        (
            DomainState.PMSUSPENDED, None,
            Stall("is asleep (pmsuspended)", f"'shctl hosts start web1' wakes it, {OFF}"),
        ),
        (
            DomainState.CRASHED, "panicked",
            Stall("is not running: its guest has crashed (panicked)", OFF, is_fault=True),
        ),
        (
            DomainState.PAUSED, Reason.CRASHED,
            Stall("is not running: its guest has crashed (crashed)", OFF, is_fault=True),
        ),
    ],
)  # fmt: skip
def test_stalled_guest(state: str, reason: str | None, expected: Stall) -> None:
    assert stalls.explain("web1", state, reason) == expected


def test_error_names_the_host_and_a_remedy() -> None:
    error = Stall("is paused (user)", START).error("web1")
    assert type(error) is Conflict
    assert str(error) == f"host 'web1' is paused (user); {START}"
