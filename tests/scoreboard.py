"""A pytest plugin that counts tests by the scoreboard row in their names.

`--scoreboard FILE` runs the rows' tests alone, prints one table with the figures that the tests
reported, writes it to FILE, and fails when a row has no test.
"""

import os
import platform
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROWS = {
    "R01": "Creation of a host that fails at each of its steps",
    "R02": "Rollback that fails as well",
    "R03": "Creation of a network that fails at each of its steps",
    "R04": "kill -9 during create, install, delete; then doctor --fix",
    "R05": "Deletion of hosts in every state",
    "R06": "Deletion keeps foreign disks and files",
    "R07": "Deletion of networks in use",
    "R08": "libvirtd restarted with an empty /run",
    "R09": "Eight concurrent creates of one name",
    "R10": "Concurrent creates of one name by command line and server",
    "R11": "A storm of creations and deletions",
    "R12": "Lists while hosts come and go",
    "R13": "Deletion during an installation or a download",
    "R14": "libvirtd killed under load",
    "R15": "libvirtd hung",
    "R16": "A hung QEMU process",
    "R17": "A killed QEMU process",
    "R18": "Start of a host while ovs-vswitchd is down",
    "R19": "ovsdb-server hung",
    "R20": "A stale port row with another tag",
    "R21": "Missing bridges and wrong VLAN tags",
    "R22": "A full file system",
    "R23": "SIGTERM with requests in flight",
    "R24": "An installer that reboots",
    "R25": "An installer that powers off",
    "R26": "An installer that never ends",
    "R27": "QEMU killed during an installation",
    "R28": "The server killed during an installation",
    "R29": "Hostile tree servers",
    "R30": "Invalid or wrong kernels",
    "R31": "umask 077, and QEMU as its own user",
    "R32": "Hostile names",
    "R33": "Hostile bodies",
    "R34": "Injections through command line, location, names",
    "R35": "Every route with every kind of credentials",
    "R36": "Foreign web pages, file modes, secrets",
    "R37": "Half-open connections, endless and truncated requests",
    "R38": "Soak",
    "R39": "False metadata, copies of hosts, names that are not file names",
    "R40": "Disks that other images depend on, and unreadable files",
    "R41": "Ports of other owners",
    "R42": "Idle connections and half bodies without credentials",
    "R43": "Worst-case input for each parser",
    "R44": "Waits whose clients disconnect",
    "R45": "Logs that nobody reads",
    "R46": "Restarts of libvirtd under load, and calls that hang",
    "R47": "Installers that write nothing, full pools, suspended guests, wrong clocks",
    "R48": "Control sequences from guests, trees, names and metadata",
    "R49": "Answers in an initrd of every compression",
    "R50": "The service with the restrictions of its systemd unit",
    "R51": "Deletion without --yes and without a terminal",
    "R52": "A host redefined by another manager during its installation",
    "R53": "Misleading mirrors and proxies",
    "R54": "Cached files owned by QEMU or another user",
    "Model": "Random sequences against a model",
}
# Rows of survived faults or refused input; a test without figures counts as one of its row's kind.
SURVIVED, REFUSED = "faults survived", "bad inputs refused"
KINDS = {
    **dict.fromkeys(["R01", "R02", "R03", "R08", *(f"R{n}" for n in range(13, 21))], SURVIVED),
    **dict.fromkeys(["R22", "R23", *(f"R{n}" for n in range(24, 29))], SURVIVED),
    **dict.fromkeys(["R21", "R29", "R30", *(f"R{n}" for n in range(32, 38))], REFUSED),
    **dict.fromkeys([f"R{n}" for n in (39, 40, 42, 43, 48, 51, 53)], REFUSED),
    **dict.fromkeys([f"R{n}" for n in (41, 44, 45, 46, 47, 49, 50, 52, 54)], SURVIVED),
}
_ROWS = re.compile(r"test_((?:r\d\d_)+|model_).*?(?:\[(r\d\d)\])?", re.ASCII)
_FIGURES = "figures"
FULL = 50  # the SHCTL_ROUNDS of `make scoreboard`
# These have columns of their own.
P99, LEAKED = "p99", "leaked descriptors"


def _rounds() -> int:
    return int(os.environ.get("SHCTL_ROUNDS", "1"))


def rounds(full: int, short: int) -> int:
    """Return a number of repetitions: `full` at SHCTL_ROUNDS=50, less below, at least `short`."""
    return max(full * _rounds() // FULL, short)


def rows_of(name: str) -> list[str]:
    """Return the rows in a test's name, or the one of them that its parameter selects."""
    found = _ROWS.fullmatch(name)
    if not found:
        return []
    named = [found[2]] if found[2] else found[1].strip("_").split("_")
    return [row.capitalize() for row in named if row.capitalize() in ROWS]


@dataclass
class Figures:
    """The figures of a test, or of all tests of a row."""

    counts: dict[str, int] = field(default_factory=dict)
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)
    worsts: dict[str, tuple[float, str]] = field(default_factory=dict)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count, such as rounds; a row shows the sum over its tests."""
        self.counts[what] = self.counts.get(what, 0) + number

    def share(self, what: str, good: int, of: int) -> None:
        """Add to a ratio "good/of", such as faults survived; a row shows the sum over its tests."""
        before = self.shares.get(what, (0, 0))
        self.shares[what] = (before[0] + good, before[1] + of)

    def worst(self, what: str, value: float, unit: str = "") -> None:
        """Record a measurement, such as a p99; a row shows the maximum over its tests."""
        before = self.worsts.get(what, (value, unit))
        self.worsts[what] = (max(value, before[0]), unit)

    def limit(self, what: str, value: float, maximum: float, unit: str) -> None:
        """Record a measurement and its maximum; only a full run fails when it is exceeded."""
        self.worst(what, value, f"of {maximum:g} {unit}")
        if _rounds() >= FULL:
            assert value <= maximum, f"{what}: {value:g} {unit}, allowed: {maximum:g} {unit}"

    @contextmanager
    def within(self, seconds: float, what: str) -> Iterator[None]:
        """Record how long the block takes, with its maximum."""
        begin = time.monotonic()
        yield
        self.limit(what, round(time.monotonic() - begin, 1), seconds, "s")

    def add(self, other: "Figures") -> None:
        """Add another test's figures."""
        for what, number in other.counts.items():
            self.count(what, number)
        for what, (good, of) in other.shares.items():
            self.share(what, good, of)
        for what, (value, unit) in other.worsts.items():
            self.worst(what, value, unit)

    def measure(self, what: str) -> str:
        """Return a measurement as text, an empty string if there is none."""
        value, unit = self.worsts.get(what, (None, ""))
        return "" if value is None else f"{value:g} {unit}".strip()

    def __str__(self) -> str:
        parts = [f"{what} {number}" for what, number in self.counts.items()]
        parts += [f"{what} {good}/{of}" for what, (good, of) in self.shares.items()]
        rest = [what for what in self.worsts if what not in (P99, LEAKED)]
        return ", ".join([*parts, *(f"{what} {self.measure(what)}" for what in rest)])


@dataclass
class Row:
    """The results of a row's tests."""

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    seconds: float = 0
    figures: Figures = field(default_factory=Figures)

    @property
    def result(self) -> str:
        """Return "passed", "failed", or "missing" if no test ran."""
        if self.failed:
            return "failed"
        return "passed" if self.passed else "missing"

    @property
    def tests(self) -> int:
        """Return how many tests the row has."""
        return len(self.passed | self.failed)


class Scoreboard:
    """All rows of a run."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows = {name: Row() for name in ROWS}

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Deselect the tests that belong to no row."""
        others = [item for item in items if not rows_of(item.name)]
        items[:] = [item for item in items if rows_of(item.name)]
        config.hook.pytest_deselected(items=others)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test; its setup and teardown can fail as well."""
        for name in rows_of(report.nodeid.rpartition("::")[2]):
            self._count(name, report)

    def _count(self, name: str, report: pytest.TestReport) -> None:
        row = self.rows[name]
        row.seconds += report.duration
        # A skipped test proves nothing.
        if not report.passed:
            row.failed.add(report.nodeid)
        elif report.when == "call":
            row.passed.add(report.nodeid)
        if report.when == "call":
            self._note(name, report)

    def _note(self, name: str, report: pytest.TestReport) -> None:
        found = Figures()
        for what, value in report.user_properties:
            if what == _FIGURES and isinstance(value, Figures):
                found.add(value)
        if name in KINDS and KINDS[name] not in found.shares:
            found.share(KINDS[name], int(report.passed), 1)
        self.rows[name].figures.add(found)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run unless every row has passed."""
        if any(row.result != "passed" for row in self.rows.values()):
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table and write it to the file."""
        text = "\n".join([*self._table(), "", self._tally()])
        terminalreporter.write_line(f"\n{text}")
        self.file.write_text(f"{_head()}\n{text}\n")

    def _table(self) -> Iterable[str]:
        cells = [("row", "scenario", "result", "tests", "time", P99, LEAKED, "figures")]
        for name, row in self.rows.items():
            times = (str(row.tests), f"{row.seconds:.1f} s")
            columns = (row.figures.measure(P99), row.figures.measure(LEAKED), str(row.figures))
            cells.append((name, ROWS[name], row.result, *times, *columns))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        cells.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
        for line in cells:
            yield f"| {' | '.join(c.ljust(w) for c, w in zip(line, widths, strict=True))} |"

    def _tally(self) -> str:
        numbered = [row for name, row in self.rows.items() if name != "Model"]
        passed = sum(row.result == "passed" for row in numbered)
        total = Figures()
        for row in self.rows.values():
            total.add(row.figures)
        shares = [f"{what} {'{}/{}'.format(*total.shares.get(what, (0, 0)))}"
                  for what in (SURVIVED, REFUSED)]  # fmt: skip
        minutes = sum(row.seconds for row in self.rows.values()) / 60
        return f"{passed} of {len(numbered)} rows; {'; '.join(shares)}; {minutes:.1f} minutes"


def _head() -> str:
    """Return the page's text above the table, with the time and machine of the run."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"""# Scoreboard

Tests of shctl with faults, races, load and hostile input, on a real libvirtd, QEMU and
Open vSwitch. `make scoreboard` runs them and writes this page.

- When: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC
- Where: {os.cpu_count()} processors, {pages / 2**30:.0f} GiB of memory, {_release()},
  Linux {platform.release()}

A row passes when all of its tests pass and leave nothing behind: the domains, networks, volumes,
ports, links and files before and after each test are compared. "8 of 200 ms" is the largest value
measured and the maximum allowed.
"""


def _release() -> str:
    return platform.freedesktop_os_release()["PRETTY_NAME"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option --scoreboard FILE."""
    text = "run only the scoreboard's tests and write their table to this file"
    parser.addoption("--scoreboard", metavar="FILE", type=Path, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin if --scoreboard is given."""
    if file := config.getoption("--scoreboard"):
        config.pluginmanager.register(Scoreboard(file), "scoreboard")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return the figures that a test adds to; its row shows them even if it fails."""
    found = Figures()
    # Only the scoreboard reads them, and xdist cannot serialize a report that contains them.
    if request.config.getoption("--scoreboard"):
        request.node.user_properties.append((_FIGURES, found))
    return found
