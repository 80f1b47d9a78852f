"""The service of the tests has no more rights than the one that its unit starts."""

import subprocess
from pathlib import Path

import pytest

from tests.support import call
from tests.systemd_unit import HOME, as_service, serving_as_service

pytestmark = pytest.mark.hypervisor


def test_no_capability_and_no_way_into_a_home() -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    status = call(*as_service("cat", "/proc/self/status"))
    sets = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
    assert {int(value, 16) for value in sets.values()} == {0}, sets
    done = subprocess.run(
        as_service("stat", str(HOME)), capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Permission denied" in done.stderr) == (1, True), done


def test_server_runs_so(tmp_path: Path) -> None:
    with serving_as_service(tmp_path) as server:
        assert server.client.ok("GET", "/hosts") == []
        assert server.stop() == 0
