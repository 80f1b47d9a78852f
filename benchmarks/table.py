"""The rows of the table, and the table as Markdown."""

from dataclasses import dataclass

HEAD = ("work", "shctl", "peer", "bare call", "ratio", "goal", "met", "peak")


@dataclass(frozen=True)
class Row:
    """One row; times are in seconds, `peak` in MiB, None if not measured.

    `met` is None for a row without a limit.
    """

    work: str
    shctl: str
    peer: str
    bare: str
    ratio: str
    goal: str
    met: bool | None
    peak: float | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        met = "" if self.met is None else "yes" if self.met else "**no**"
        peak = "" if self.peak is None else f"{self.peak:.0f} MiB"
        return (
            self.work, self.shctl, self.peer, self.bare, self.ratio, self.goal, met, peak,
        )  # fmt: skip


def ms(seconds: float) -> str:
    """Return a time in milliseconds."""
    value = 1000 * seconds
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def times(number: float) -> str:
    """Return a ratio."""
    return f"{number:.2f}"


def line(cells: tuple[str, ...]) -> str:
    """Return one line of Markdown."""
    return f"| {' | '.join(cells)} |"


def head() -> str:
    """Return the two lines above the rows."""
    return f"{line(HEAD)}\n{line(('---',) * len(HEAD))}"
