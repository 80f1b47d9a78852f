"""Lists of hosts whose metadata other programs wrote."""

import pytest

from shctl.hosts import listing


@pytest.mark.parametrize("stamp", ["2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z"])
def test_a_time_that_does_not_exist_has_no_age(stamp: str) -> None:
    assert listing._clock()(stamp) is None


def test_a_time_in_the_future_has_age_0() -> None:
    assert listing._clock()("9999-01-01T00:00:00Z") == 0
