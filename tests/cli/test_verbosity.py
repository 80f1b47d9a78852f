"""--verbose and --debug: what shctl does, on standard error."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.guests import End
from tests.installations import Trees, arguments, delete, serving
from tests.support import modules_after, ok, prepare, run

SECRET = "hunter2"
CALL = re.compile(r"^DEBUG: (.+), [0-9.]+ ms$")


@pytest.fixture
def trees() -> Iterator[Trees]:
    prepare()
    with serving() as found:
        yield found


def calls_in(text: str) -> list[str]:
    return [match[1] for line in text.splitlines() if (match := CALL.match(line))]


@pytest.mark.hypervisor
def test_debug_logs_each_call_with_its_duration_and_no_secret(trees: Trees) -> None:
    location = trees.of(End.POWER_OFF)
    words = arguments("debugged", location, "--cmdline", f"password={SECRET}")
    done = run("-o", "json", "--debug", *words)
    try:
        assert done.code == 0, done
        assert json.loads(done.out)["name"] == "debugged", "stdout has only the result"
        found = calls_in(done.err)
        assert any(re.match(r"ovs-vsctl .*: status 0", call) for call in found)
        assert any(call.startswith("virDomainGetState('debugged', 0): ") for call in found)
        assert any(re.match(rf"GET {re.escape(location)}.*: status 200", call) for call in found)
        assert SECRET not in done.err
    finally:
        delete("debugged")


def test_debug_logs_the_error_of_a_call() -> None:
    done = run("-c", "test:///default", "--debug", "hosts", "show", "nobody")
    assert done.code == 3
    assert "virDomainLookupByName('nobody'): error: Domain not found" in done.err
    assert any(line.startswith("shctl: no host 'nobody'") for line in done.err.splitlines())


def test_verbose_logs_no_calls() -> None:
    done = run("-c", "test:///default", "--verbose", "hosts", "list")
    assert (done.code, done.err) == (0, "")
    assert run("-c", "test:///default", "hosts", "list", SHCTL_VERBOSE="1").code == 0


def test_without_them_nothing_is_logged() -> None:
    assert "logging" not in modules_after("-c", "test:///default", "hosts", "list")
    assert ok("-c", "test:///default", "hosts", "list")
