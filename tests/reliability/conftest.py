"""A host's name for tests that count what QEMU has logged."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.support import ok


@pytest.fixture
def name() -> Iterator[str]:
    """Return a name that no other test uses: QEMU's log outlives its host."""
    name = f"r-{uuid4().hex[:8]}"
    yield name
    ok("hosts", "delete", "--yes", name, "--if-exists")
