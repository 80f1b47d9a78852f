"""Limits of concurrent commands."""

import pytest

from shctl.common import timeout
from shctl.common.errors import Unreachable
from shctl.rest.limits import ConcurrencyLimit


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Skip the check for leftovers, because no test here uses the hypervisor."""


def test_r44_failed_start_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = ConcurrencyLimit(total=2, per_resource=2, per_caller=2, queue=1)
    with monkeypatch.context() as patched:
        patched.setattr(timeout, "MOST_HUNG", 0)
        for _ in range(4):
            with pytest.raises(Unreachable, match="calls hang already"):
                limit.run("hosts/a", "token t", 5, lambda: 3)
    assert limit.run("hosts/a", "token t", 5, lambda: 3) == 3
