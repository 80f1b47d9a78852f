"""Log lines of calls: results, errors and durations."""

import logging
import subprocess
import sys

import pytest

from shctl.common import debug_log

NAME = "shctl.test"


@pytest.fixture(autouse=True)
def debug_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=NAME)


def test_result_and_milliseconds(caplog: pytest.LogCaptureFixture) -> None:
    with debug_log.logged(NAME, "ovs-vsctl list Port") as call:
        call.result = "status 0"
    assert caplog.messages[0].startswith("ovs-vsctl list Port: status 0, ")
    assert caplog.messages[0].endswith(" ms")


def test_error_is_logged_and_raised(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="bad"), debug_log.logged(NAME, "GET http://a/"):
        raise ValueError("bad")
    assert "GET http://a/: ValueError: bad, " in caplog.text


def test_control_characters_do_not_reach_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    with debug_log.logged(NAME, "a\x1b[2J") as call:
        call.result = "b\n" + "c" * 1000
    assert "\x1b" not in caplog.messages[0]
    assert "\n" not in caplog.messages[0]
    assert len(caplog.messages[0]) < 600


def test_nothing_is_logged_above_the_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=NAME)
    with debug_log.logged(NAME, "call"):
        pass
    assert not debug_log.is_logged(NAME)
    debug_log.progress(NAME, "create volume a")
    assert caplog.messages == ["create volume a"]


def test_logging_is_not_imported() -> None:
    code = (
        "import sys; from shctl.common import debug_log\n"
        "with debug_log.logged('shctl.test', 'call'): debug_log.progress('shctl.test', 'step')\n"
        "sys.exit('logging' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
