"""Building blocks of commands, by themselves."""

import threading

import pytest

from shctl.commands.base import for_each
from shctl.common.errors import NotFound, Several
from shctl.common.model import Outcome


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Spare each test a look at the hypervisor, which none of these touches."""


def test_work_that_waits_is_done_at_once() -> None:
    """Each waits for the other, which one after the other would never end."""
    meeting = threading.Barrier(2, timeout=20)

    def act(name: str) -> Outcome:
        meeting.wait()
        return Outcome(name, "done")

    assert [row.name for row in for_each(["b", "a", "b"], act, at_once=True)] == ["b", "a"]


@pytest.mark.parametrize("at_once", [True, False])
def test_failures_are_told_in_order(at_once: bool) -> None:
    def act(name: str) -> Outcome:
        if name == "good":
            return Outcome(name, "done")
        raise NotFound(name)

    with pytest.raises(Several) as caught:
        for_each(["x", "good", "y"], act, at_once=at_once)
    assert [failure.detail for failure in caught.value.failures] == ["x", "y"]
    assert [row.name for row in caught.value.done] == ["good"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_unexpected_comes_out(at_once: bool) -> None:
    def act(_name: str) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        for_each(["x", "y"], act, at_once=at_once)
