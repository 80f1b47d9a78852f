"""Places for commands, which come back whatever becomes of a command."""

import pytest

from shctl.common import timeout
from shctl.common.errors import Unreachable
from shctl.rest.limits import Work


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Spare each test a look at the hypervisor, which none of these touches."""


def test_r44_place_comes_back_when_too_many_calls_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(most=2, each=2, own=2, queue=1)
    with monkeypatch.context() as patched:
        patched.setattr(timeout, "MOST_HUNG", 0)
        for _ in range(4):
            with pytest.raises(Unreachable, match="calls hang already"):
                work.run("hosts/a", "token t", 5, lambda: 3)
    assert work.run("hosts/a", "token t", 5, lambda: 3) == 3
