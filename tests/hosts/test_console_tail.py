"""The last lines of a console log."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shctl.common import paths
from shctl.hosts.console_tail import Tail, tail, text_lines
from tests.hosts.test_installer_phases import BAR, PROGRESS, QUESTION


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        (PROGRESS, ["Configuring the network with DHCP", "0%"]),
        (QUESTION, ["[!!] Configure the network", "Network autoconfiguration failed"]),
        (BAR, []),
        ("10%\r20%\r\n...\r\n\r\n", ["10%", "20%"]),
        ("\x1b]3008;start=1;machineid=2\x1b\\login: \x1b[?25h\x1b(B", ["login:"]),
        ("a\x1b[31mb\x1b[0m\u202ec\n\n \n", ["ab\ufffdc"]),
        ("\u6f22\t \x9b1mx", ["\u6f22 \ufffd1mx"]),
        ("root@web1:~# ls", ["root@web1:~# ls"]),
    ],
)
def test_lines(log: str, lines: list[str]) -> None:
    assert text_lines(log.encode()) == lines


@given(
    st.binary(max_size=100) | st.text("\x1b\x9b[]()0;?1HJmKlq\x0e\x0f\r\n\x07 aP\\").map(str.encode)
)
def test_lines_are_printable(log: bytes) -> None:
    assert all(line.isprintable() and line.strip() for line in text_lines(log))


@pytest.mark.parametrize(
    "part", ["\x1b", "\x1b[", "\x1b[" + "9" * 40, "\x1b]", "\x0e", "\x1b(0a", "\x1bP1", "a\n", "[ "]
)
def test_hostile_text_ends(part: str) -> None:
    text_lines((part * 2**16)[: 2**16].encode())


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "console_logs", lambda: tmp_path)
    return tmp_path / "web1.log"


def write(log: Path, text: str, *, at: float) -> None:
    with log.open("a") as stream:
        stream.write(text)
    os.utime(log, (at, at))


def test_a_clock_is_no_text(log: Path) -> None:
    write(log, QUESTION, at=1000)
    found = tail(str(log), "web1", installer=True)
    assert found is not None
    assert found.update()
    assert found.line == "Network autoconfiguration failed"
    silence = found.silence
    write(log, BAR, at=2000)
    assert found.update()
    assert found.silence >= silence
    # Repeated text and dots are output.
    for at, text in ((3000, QUESTION), (4000, "."), (5000, "\r\nnew\r\n")):
        write(log, text, at=at)
        assert found.update()
        assert found.silence < silence - at + 1100
    assert (found.line, found.step) == ("new", "question: Configure the network")


def test_rotated_log_continues(log: Path) -> None:
    write(log, "Configuring apt\r\n", at=1000)
    log.rename(f"{log}.0")
    write(log, "last\r\n", at=1000)
    found = Tail(log, installer=True)
    assert found.update()
    assert (found.line, found.step) == ("last", "Configuring apt")


def test_a_log_of_a_host_that_runs_no_installer(log: Path) -> None:
    write(log, "Configuring apt\r\n", at=1000)
    found = Tail(log, installer=False)
    assert found.update()
    assert found.step is None


def test_what_cannot_be_read_is_not_shown(log: Path, tmp_path: Path) -> None:
    assert tail(None, "web1", installer=True) is None
    assert tail("/etc/passwd", "web1", installer=True) is None
    assert not Tail(log, installer=True).update()
    os.mkfifo(log)
    assert not Tail(log, installer=True).update()
    log.unlink()
    log.symlink_to(tmp_path / "other.log")
    (tmp_path / "other.log").write_text("secret")
    assert not Tail(log, installer=True).update()
