"""Times in UTC in the format of RFC 3339, which sort as text, and the uptime of the machine.

Unlike the clock, the uptime cannot be set.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime, time


def now(ahead: float = 0) -> str:
    """Return the time `ahead` seconds from now."""
    return stamp(time() + ahead)


def stamp(seconds: float) -> str:
    """Return the time `seconds` after the epoch, 1970."""
    # Whole seconds: fractions would not sort as text with times that have none.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def boot_id() -> str | None:
    """Return the ID of this boot of the machine (random(4)), None if it cannot be read."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return None


def uptime() -> float:
    """Return the seconds since the machine was booted, including suspend (proc_uptime(5))."""
    with suppress(OSError, ValueError):
        return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return clock_gettime(CLOCK_BOOTTIME)
