"""A pytest plugin that counts tests by the row of the scoreboard which stands in their names.

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
    "R01": "A creation that fails at each of its steps",
    "R02": "An undo that fails as well",
    "R03": "A network's creation that fails at each of its steps",
    "R04": "kill -9 during create, install, delete; then doctor --fix",
    "R05": "Deleting hosts in every state",
    "R06": "What others own, beside a deletion",
    "R07": "Deleting networks in use",
    "R08": "libvirtd restarted with an empty /run",
    "R09": "Eight creates of one name at once",
    "R10": "Creates of one name by command line and server at once",
    "R11": "A storm of creations and deletions",
    "R12": "Lists while hosts come and go",
    "R13": "Deleting during an installation or a download",
    "R14": "libvirtd killed under load",
    "R15": "libvirtd hung",
    "R16": "A QEMU hung",
    "R17": "A QEMU killed",
    "R18": "ovs-vswitchd dead at a start",
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
    "R30": "Kernels that are none, or not the right ones",
    "R31": "umask 077, and QEMU as its own user",
    "R32": "Hostile names",
    "R33": "Hostile bodies",
    "R34": "Injections through command line, location, names",
    "R35": "Every route with every kind of credentials",
    "R36": "Foreign web pages, file modes, secrets",
    "R37": "Half-open, endless and lying clients",
    "R38": "Soak",
    "R39": "Metadata that lies, copies of hosts, names that are no file names",
    "R40": "Disks that something stands on, and files that cannot be seen",
    "R41": "Ports of other owners",
    "R42": "Idle connections and half bodies without credentials",
    "R43": "Texts that are worst for their parser",
    "R44": "Waits that their clients left",
    "R45": "Logs that nobody reads",
    "R46": "Restarts of libvirtd under load, and calls that hang",
    "R47": "Installers that write nothing, full pools, sleeping guests, wrong clocks",
    "R48": "Control sequences from guests, trees, names and metadata",
    "R49": "Answers in an initrd of every compression",
    "R50": "The service as its unit runs it",
    "R51": "Deleting without --yes where nobody can be asked",
    "R52": "A host redefined by another manager during its installation",
    "R53": "Mirrors and proxies that mislead",
    "R54": "Cached files that QEMU or another user owned",
    "Model": "Random sequences against a model",
}
# Rows that survive or refuse something; a test without figures of its own counts as one of them.
SURVIVED, REFUSED = "faults survived", "bad inputs refused"
KINDS = {
    **dict.fromkeys(["R01", "R02", "R03", "R08", *(f"R{n}" for n in range(13, 21))], SURVIVED),
    **dict.fromkeys(["R22", "R23", *(f"R{n}" for n in range(24, 29))], SURVIVED),
    **dict.fromkeys(["R21", "R29", "R30", *(f"R{n}" for n in range(32, 38))], REFUSED),
    **dict.fromkeys([f"R{n}" for n in (39, 40, 42, 43, 48, 51, 53)], REFUSED),
    **dict.fromkeys([f"R{n}" for n in (41, 44, 45, 46, 47, 49, 50, 52, 54)], SURVIVED),
}
_ROWS = re.compile(r"test_((?:r\d\d_)+|model_).*?(?:\[(r\d\d)\])?", re.ASCII)
_TOLD = "figures"
FULL = 50  # the SHCTL_ROUNDS of `make scoreboard`
# What has columns of its own; the tally has the sums of the first two.
P99, LEAKED = "p99", "leaked descriptors"


def _wanted() -> int:
    return int(os.environ.get("SHCTL_ROUNDS", "1"))


def rounds(full: int, short: int) -> int:
    """Return how often to do something: `full` times at SHCTL_ROUNDS=50, at least `short`."""
    return max(full * _wanted() // FULL, short)


def rows_of(name: str) -> list[str]:
    """Return the rows that stand in a test's name, or the one that its parameter picks of them."""
    found = _ROWS.fullmatch(name)
    if not found:
        return []
    named = [found[2]] if found[2] else found[1].strip("_").split("_")
    return [row.capitalize() for row in named if row.capitalize() in ROWS]


@dataclass
class Figures:
    """What a test found out, or all tests of a row together."""

    counts: dict[str, int] = field(default_factory=dict)
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)
    worsts: dict[str, tuple[float, str]] = field(default_factory=dict)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a number, as of rounds; those of a row's tests are added up."""
        self.counts[what] = self.counts.get(what, 0) + number

    def share(self, what: str, good: int, of: int) -> None:
        """Add to "good/of", as of faults survived; those of a row's tests are added up."""
        before = self.shares.get(what, (0, 0))
        self.shares[what] = (before[0] + good, before[1] + of)

    def worst(self, what: str, value: float, unit: str = "") -> None:
        """Note a measure, as the p99 of a list; the greatest of a row's tests is shown."""
        before = self.worsts.get(what, (value, unit))
        self.worsts[what] = (max(value, before[0]), unit)

    def limit(self, what: str, value: float, most: float, unit: str) -> None:
        """Note a measure with the most that it may be, to which only a full run is held."""
        self.worst(what, value, f"of {most:g} {unit}")
        if _wanted() >= FULL:
            assert value <= most, f"{what}: {value:g} {unit}, of which {most:g} are allowed"

    @contextmanager
    def within(self, seconds: float, what: str) -> Iterator[None]:
        """Note how long the block takes, with the most that it may take."""
        begin = time.monotonic()
        yield
        self.limit(what, round(time.monotonic() - begin, 1), seconds, "s")

    def add(self, other: "Figures") -> None:
        """Take in what another test found out."""
        for what, number in other.counts.items():
            self.count(what, number)
        for what, (good, of) in other.shares.items():
            self.share(what, good, of)
        for what, (value, unit) in other.worsts.items():
            self.worst(what, value, unit)

    def measure(self, what: str) -> str:
        """Return a measure as text, nothing where there is none."""
        value, unit = self.worsts.get(what, (None, ""))
        return "" if value is None else f"{value:g} {unit}".strip()

    def __str__(self) -> str:
        told = [f"{what} {number}" for what, number in self.counts.items()]
        told += [f"{what} {good}/{of}" for what, (good, of) in self.shares.items()]
        rest = [what for what in self.worsts if what not in (P99, LEAKED)]
        return ", ".join([*told, *(f"{what} {self.measure(what)}" for what in rest)])


@dataclass
class Row:
    """A row with what its tests came to."""

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    seconds: float = 0
    figures: Figures = field(default_factory=Figures)

    @property
    def result(self) -> str:
        """Say what became of the row."""
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
        """Leave out what belongs to no row."""
        others = [item for item in items if not rows_of(item.name)]
        items[:] = [item for item in items if rows_of(item.name)]
        config.hook.pytest_deselected(items=others)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test: set-up and tear-down can fail as well."""
        for name in rows_of(report.nodeid.rpartition("::")[2]):
            self._count(name, report)

    def _count(self, name: str, report: pytest.TestReport) -> None:
        row = self.rows[name]
        row.seconds += report.duration
        # A test that was skipped has shown nothing.
        if not report.passed:
            row.failed.add(report.nodeid)
        elif report.when == "call":
            row.passed.add(report.nodeid)
        if report.when == "call":
            self._note(name, report)

    def _note(self, name: str, report: pytest.TestReport) -> None:
        told = Figures()
        for what, value in report.user_properties:
            if what == _TOLD and isinstance(value, Figures):
                told.add(value)
        if name in KINDS and KINDS[name] not in told.shares:
            told.share(KINDS[name], int(report.passed), 1)
        self.rows[name].figures.add(told)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run unless every row has passed."""
        if any(row.result != "passed" for row in self.rows.values()):
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table, and write it down."""
        text = "\n".join([*self._table(), "", self._tally()])
        terminalreporter.write_line(f"\n{text}")
        self.file.write_text(f"{_head()}\n{text}\n")

    def _table(self) -> Iterable[str]:
        cells = [("row", "what happens", "result", "tests", "time", P99, LEAKED, "figures")]
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
    """Return what stands above the table: what it is, when and where it was made."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"""# Scoreboard

What was done to shctl on a real libvirtd, QEMU and Open vSwitch, and what came of it.
`make scoreboard` does it all again and writes this page.

- When: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC
- Where: {os.cpu_count()} processors, {pages / 2**30:.0f} GiB of memory, {_release()},
  Linux {platform.release()}

A row passes when all of its tests pass, and each leaves nothing behind: the domains, networks,
volumes, ports, links and files of before and after are compared. "8 of 200 ms" is the worst that
was measured, and the most that the row allows.
"""


def _release() -> str:
    return platform.freedesktop_os_release()["PRETTY_NAME"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take --scoreboard FILE."""
    text = "run the scoreboard's rows alone, and write their table to this file"
    parser.addoption("--scoreboard", metavar="FILE", type=Path, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Keep score when asked to."""
    if file := config.getoption("--scoreboard"):
        config.pluginmanager.register(Scoreboard(file), "scoreboard")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return what a test adds its figures to, which its row shows also when it fails."""
    told = Figures()
    # Nothing else reads them, and a report with them does not travel between processes.
    if request.config.getoption("--scoreboard"):
        request.node.user_properties.append((_TOLD, told))
    return told
