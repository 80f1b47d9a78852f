"""The lines of the block that is shown while a command waits; pure, no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shctl.common.layout import cut
from shctl.common.observation import Observation

SILENT = 10.0  # seconds of silence that are worth a word
_MB = 10**6


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
) -> list[str]:
    """Return the lines: one host in detail, or a line for each of several.

    None is wider than the terminal, and they leave one line of it free.
    """
    time = duration(elapsed) + (f" of {duration(limit)}" if limit else "")
    lines = _one(hosts[0], time) if len(hosts) == 1 else [time, *map(_short, hosts)]
    lines[1:1] = [f"  {download}" for download in downloads]
    room = max(height - 1, 1)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} more"]
    # The last column stays free: some terminals wrap when it is filled.
    return [cut(line, max(width - 1, 1)) for line in lines]


def _one(host: Observation, time: str) -> list[str]:
    lines = [f"{host.name}: {state(host)}, {time}"]
    if host.step:
        lines.append(f"  step: {host.step}")
    if host.line:
        lines.append(f"  console: {host.line}")
    if silence := _silence(host):
        lines.append(f"  {silence}")
    return lines


def _short(host: Observation) -> str:
    parts = [state(host), host.step or host.line, _silence(host)]
    return f"  {host.name}: {', '.join(filter(None, parts))}"


def state(host: Observation) -> str:
    """Return the phase of a host's installation with its state, or the state alone."""
    if host.phase == "installing":
        return host.phase if host.state == "running" else f"{host.phase}, {host.state}"
    return host.state


def _silence(host: Observation) -> str:
    silence = host.silence or 0
    return f"silent for {duration(silence)}" if silence >= SILENT else ""


def line(host: Observation, elapsed: float) -> str:
    """Return a line for a log: what a host does now."""
    parts = [state(host), host.step, f"{duration(elapsed)} elapsed", _silence(host)]
    last = f"; console: {host.line}" if host.line and not host.step else ""
    return f"{host.name}: {', '.join(filter(None, parts))}{last}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: 45s, 3m 12s, 2h 5m."""
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"
