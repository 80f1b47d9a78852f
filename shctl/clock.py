"""Times as shctl stores and shows them: UTC, as RFC 3339 writes it, so that text sorts as time."""

from datetime import UTC, datetime
from time import time


def now(ahead: float = 0) -> str:
    """Return the time `ahead` seconds from now."""
    return stamp(time() + ahead)


def stamp(seconds: float) -> str:
    """Return the time `seconds` after 1970 began."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
