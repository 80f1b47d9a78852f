"""Authentication failures are counted by address, for a limited number of addresses."""

import pytest

from shctl.rest import access
from shctl.rest.access import MAX_FAILURES, Failures


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Skip the check for leftovers, because no test here uses the hypervisor."""


def test_too_many_failures_of_one_address() -> None:
    failures = Failures()
    assert [failures.add("a") for _ in range(MAX_FAILURES)] == [0] * MAX_FAILURES
    assert 0 < failures.add("a") <= access.WINDOW + 1
    assert failures.add("b") == 0


def test_r42_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker with an IPv6 network has any number of them; the latest ones count."""
    monkeypatch.setattr(access, "_MAX_ADDRESSES", 4)
    failures = Failures()
    for _ in range(MAX_FAILURES):
        failures.add("guesses")
    for number in range(20):
        assert failures.add(f"other {number}") == 0
        assert failures.add("guesses")
    assert len(failures._times) == 4
