"""Lists of hosts whose metadata other programs wrote."""

import pytest

from shctl.common.rows import HostRow, Install
from shctl.hosts import listing


@pytest.mark.parametrize("stamp", ["2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z"])
def test_a_time_that_does_not_exist_has_no_age(stamp: str) -> None:
    assert listing._clock()(stamp) is None


def test_a_time_in_the_future_has_age_0() -> None:
    assert listing._clock()("9999-01-01T00:00:00Z") == 0


def row(name: str, age: int | None = None, phase: str | None = None) -> HostRow:
    install = Install(phase, None, "", "", None, None) if phase else None
    return HostRow(name, name, "running", age=age, install=install)


@pytest.mark.parametrize(
    ("key", "descending", "expected"),
    [
        ("age", False, "bacd"),
        ("age", True, "cabd"),
        ("install", False, "cabd"),
        ("install", True, "acbd"),
        ("name", True, "dcba"),
    ],
)
def test_hosts_without_a_value_come_last(key: str, descending: bool, expected: str) -> None:
    rows = [row("d"), row("c", 7, "failed"), row("b", 5), row("a", 6, "installed")]
    found = listing._sorted(rows, key, descending=descending)
    assert "".join(row.name for row in found) == expected
