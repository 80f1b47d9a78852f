"""Running a command for several names."""

import threading

import pytest

from shctl.commands.batch import for_each
from shctl.common.errors import NotFound, Several
from shctl.common.model import Outcome


def test_functions_run_concurrently() -> None:
    """Each waits for the other, so running them in sequence would never end."""
    meeting = threading.Barrier(2, timeout=20)

    def act(name: str) -> Outcome:
        meeting.wait()
        return Outcome(name, "done")

    assert [row.name for row in for_each(["b", "a", "b"], act, concurrently=True)] == ["b", "a"]


@pytest.mark.parametrize("concurrently", [True, False])
def test_failures_keep_their_order(concurrently: bool) -> None:
    def act(name: str) -> Outcome:
        if name == "good":
            return Outcome(name, "done")
        raise NotFound(name)

    with pytest.raises(Several) as caught:
        for_each(["x", "good", "y"], act, concurrently=concurrently)
    assert [failure.detail for failure in caught.value.failures] == ["x", "y"]
    assert [row.name for row in caught.value.done] == ["good"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("concurrently", [True, False])
def test_unexpected_error_is_raised(concurrently: bool) -> None:
    def act(_name: str) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        for_each(["x", "y"], act, concurrently=concurrently)
