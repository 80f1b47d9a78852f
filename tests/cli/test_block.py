"""The block of lines that is shown while a command waits."""

import pytest

from shctl.cli.block import Download, block, duration, line
from shctl.common.observation import Observation

WEB1 = Observation("web1", "running", "installing", "Configuring apt", "reading indexes", 12, 60)
WEB2 = Observation("web2", "shut off")
HALF = Download("initrd.gz", 8_200_000, 37_400_000, 4_100_000)


def test_one_host_in_detail() -> None:
    assert block([WEB1], [], 192, None, 80, 24) == [
        "web1: installing",
        "  3m 12s elapsed, deadline in 1m 0s",
        "  installer says: Configuring apt",
        "  console, silent for 12s: reading indexes",
    ]
    assert block([WEB2], [], 3, None, 80, 24) == ["web2: shut off", "  3s elapsed"]
    silent = Observation("web1", "running", silence=61)
    assert block([silent], [], 3, None, 80, 24, "shutting down") == [
        "web1: running, shutting down",
        "  3s elapsed",
        "  console silent for 1m 1s",
    ]


def test_downloads_precede_the_host() -> None:
    done = Download("linux", 5_000_000, 5_000_000, 9.0)
    unknown = Download("x", 100_000, None, 50_000)
    assert block([WEB2], [done, HALF, unknown], 1, 60, 80, 24)[2:] == [
        "  linux: 5.0 of 5.0 MB",
        "  initrd.gz: 8.2 of 37.4 MB, 4.1 MB/s",
        "  x: 0.1 MB, 0.1 MB/s",
    ]


def test_control_characters() -> None:
    host = Observation("web\x1b1", "running", line="\x9b2J")
    shown = block([host], [Download("\x1b[2J", 1, 2, 3)], 1, None, 80, 24)
    assert len(shown) == 4
    assert all(line.isprintable() for line in shown)


def test_several_hosts_have_a_line_each() -> None:
    assert block([WEB1, WEB2], [], 61, 120, 80, 24, "waiting for stopped") == [
        "2 hosts, waiting for stopped",
        "  1m 1s elapsed, deadline in 59s",
        "NAME  STATE       SILENT  CONSOLE",
        "web1  installing  12s     installer says: Configuring apt",
        "web2  shut off",
    ]


@pytest.mark.parametrize(
    ("limit", "left", "text"),
    [
        (None, None, "5s elapsed"),
        (0, None, "5s elapsed"),
        (65, None, "5s elapsed, deadline in 1m 0s"),
        (65, 10, "5s elapsed, deadline in 10s"),
        (15, 3600, "5s elapsed, deadline in 10s"),
        (4, None, "5s elapsed, deadline in 0s"),
    ],
)
def test_the_first_deadline(limit: float | None, left: float | None, text: str) -> None:
    host = Observation("web1", "running", left=left)
    assert block([host], [], 5, limit, 80, 24)[1] == f"  {text}"


@pytest.mark.parametrize("width", [1, 2, 20, 40])
def test_fits_the_width(width: int) -> None:
    wide = Observation("web1", "running", line="\u6f22" * 100)
    for shown in block([wide], [HALF], 5, 60, width, 24):
        assert sum(2 if c == "\u6f22" else 1 for c in shown) <= max(width - 1, 1)


@pytest.mark.parametrize("height", [1, 2, 3, 10])
def test_fits_the_height(height: int) -> None:
    shown = block([WEB2] * 50, [], 5, 60, 80, height)
    assert len(shown) <= max(height - 1, 1)
    assert shown[-1].startswith("... and ")
    assert len(shown) - 1 + int(shown[-1].split()[2]) == 53


def test_a_host_that_does_not_run_during_its_installation() -> None:
    host = Observation("web1", "paused", "installing")
    assert line(host, 5) == "web1: installing, paused, 5s elapsed"


def test_line_of_a_log() -> None:
    assert line(WEB1, 3700) == (
        "web1: installing, installer says: Configuring apt, 1h 1m elapsed, console silent for 12s"
    )
    assert line(Observation("web2", "running", line="login:"), 1, "waiting for stopped") == (
        "web2: running, waiting for stopped, 1s elapsed; console: login:"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m 0s"), (3599, "59m 59s"), (7500, "2h 5m"), (90061, "1d 1h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
