"""Parts and presentations of a console log, on the command line and over REST."""

from collections.abc import Iterator

import pytest

from tests.frontends.frontend import Frontend
from tests.support import LOGS, create, eventually, ok

pytestmark = pytest.mark.usefixtures("vlan10")

BOOT = "\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1)\r\n"
LOG = f"{BOOT}first\nlogin: {BOOT}second\r\n\x1b[2J\x1b[1;1HTitle\x1b[3;5H<Go Back>"


@pytest.fixture
def logged(frontend: Frontend) -> Iterator[str]:
    """Return a host with a log of two boots, the second of which draws on the screen."""
    create("logged")
    (LOGS / "logged.log").write_text(LOG, newline="")
    yield "logged"
    assert frontend.run("hosts delete", "logged").ok


def test_tail(frontend: Frontend, logged: str) -> None:
    shown = frontend.run("hosts log", logged, tail=1).data
    assert "Title" in shown
    assert "second" not in shown
    assert frontend.run("hosts log", logged, tail=0).data in ("", None)
    assert frontend.run("hosts log", logged, tail=-1).status == 400


def test_since_boot(frontend: Frontend, logged: str) -> None:
    shown = frontend.run("hosts log", logged, since_boot=True).data
    assert "second" in shown
    assert "first" not in shown
    assert "\x1b" not in shown


def test_plain(frontend: Frontend, logged: str) -> None:
    lines = frontend.run("hosts log", logged, plain=True).data.splitlines()
    assert lines == ["SeaBIOS (version 1)", "first", "SeaBIOS (version 1)", "second",
                     "Title", "    <Go Back>"]  # fmt: skip
    assert frontend.run("hosts log", logged, plain=True, tail=1).data == "    <Go Back>\n"
    both = frontend.run("hosts log", logged, plain=True, raw=True)
    assert (both.status, both.field) == (400, "raw")


def test_firmware_writes_to_the_console(frontend: Frontend) -> None:
    """A real BIOS and iPXE, which finds nothing to boot."""
    create("blank")
    ok("hosts", "start", "blank")
    eventually(lambda: "iPXE" in frontend.run("hosts log", "blank", plain=True).data)
    assert "SeaBIOS (version" in frontend.run("hosts log", "blank", plain=True, tail=1000).data
    assert frontend.run("hosts delete", "blank").ok
