"""The lines of the block that is shown while a command waits; pure, no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shctl.common.layout import cut, layout
from shctl.common.observation import Observation
from shctl.common.text import clean

SILENT = 3.0  # seconds of silence that are worth a word
_MB = 10**6
_COLUMNS = ("name", "state", "silent", "console")


@dataclass(frozen=True)
class Download:
    """A file: bytes received, its size if known, and bytes per second."""

    name: str
    done: int
    size: int | None
    rate: float

    @property
    def is_complete(self) -> bool:
        """Return whether all of it was received."""
        return self.size is not None and self.done >= self.size

    def __str__(self) -> str:
        """Return the download for people."""
        size = "" if self.size is None else f" of {self.size / _MB:.1f}"
        rate = "" if self.is_complete else f", {self.rate / _MB:.1f} MB/s"
        return f"{self.name}: {self.done / _MB:.1f}{size} MB{rate}"


def block(
    hosts: Sequence[Observation],
    downloads: Iterable[Download],
    elapsed: float,
    limit: float | None,
    width: int,
    height: int,
    goal: str = "",
) -> list[str]:
    """Return the lines: one host in detail, or a line for each of several.

    None is wider than the terminal, and they leave one line of it free. `goal` says what the
    command waits for.
    """
    # The last column stays free: some terminals wrap when it is filled.
    columns, room = max(width - 1, 1), max(height - 1, 1)
    title, *rest = _one(hosts[0]) if len(hosts) == 1 else _several(hosts, columns)
    time = f"  {_time(hosts, elapsed, limit)}"
    lines = [
        f"{title}{goal and f', {goal}'}",
        time,
        *(f"  {download}" for download in downloads),
        *rest,
    ]
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} more"]
    # Trees choose the names of files.
    return [cut(clean(line), columns) for line in lines]


def _time(hosts: Sequence[Observation], elapsed: float, limit: float | None) -> str:
    """Return what has elapsed, and when the first deadline is: the wait's or an installation's."""
    left = [host.left for host in hosts if host.left is not None]
    # A limit of 0 only checks.
    if limit:
        left.append(limit - elapsed)
    text = f"{duration(elapsed)} elapsed"
    return f"{text}, deadline in {duration(max(min(left), 0))}" if left else text


def _one(host: Observation) -> list[str]:
    lines = [f"{host.name}: {state(host)}"]
    if host.step:
        lines.append(f"  {_step(host)}")
    silence = _silence(host)
    if host.line:
        lines.append(f"  console{silence and f', silent for {silence}'}: {host.line}")
    elif silence:
        lines.append(f"  console silent for {silence}")
    return lines


def _several(hosts: Sequence[Observation], width: int) -> list[str]:
    header = [name.upper() for name in _COLUMNS]
    rows = [[host.name, state(host), _silence(host), _step(host) or host.line] for host in hosts]
    return [f"{len(hosts)} hosts", *layout(_COLUMNS, [header, *rows], width, lambda cell: cell)]


def state(host: Observation) -> str:
    """Return the phase of a host's installation with its state, or the state alone."""
    if host.phase == "installing":
        return host.phase if host.state == "running" else f"{host.phase}, {host.state}"
    return host.state


def _step(host: Observation) -> str:
    return f"installer says: {host.step}" if host.step else ""


def _silence(host: Observation) -> str:
    silence = host.silence or 0
    return duration(silence) if silence >= SILENT else ""


def line(host: Observation, elapsed: float, goal: str = "") -> str:
    """Return a line for a log: what a host does now."""
    silence = _silence(host)
    parts = [
        state(host), goal, _step(host), f"{duration(elapsed)} elapsed",
        silence and f"console silent for {silence}",
    ]  # fmt: skip
    last = f"; console: {host.line}" if host.line and not host.step else ""
    return f"{host.name}: {', '.join(filter(None, parts))}{last}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: 45s, 3m 12s, 2h 5m, 3d 4h."""
    whole = int(seconds)
    for size, unit, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // smaller}{small}"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"
