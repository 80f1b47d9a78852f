"""What the log of a host's QEMU says; it outlives libvirtd, which forgets how a domain ended."""

import re
from pathlib import Path

LOGS = Path("/var/log/libvirt/qemu")
# Written by libvirt itself, in UTC. QEMU's own lines have their time in another form.
_EVENT = (
    r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)\.\d+\+0000: (?:starting up|shutting down, reason=(\w+))"
)


def path(host: str) -> Path:
    """Return where libvirt lets QEMU log."""
    return LOGS / f"{host}.log"


def first_ending(host: str, since: str) -> str | None:
    """Return how the first QEMU started since a time has ended: shutdown, destroyed, crashed, ...

    `since` is in UTC as RFC 3339 writes it. None means that the log does not tell.
    """
    try:
        text = path(host).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    started = False
    for date, clock, reason in re.findall(_EVENT, text, re.MULTILINE):
        if started and reason:
            return str(reason)
        # The end of an earlier host of this name may have come within the same second.
        started = started or (not reason and f"{date}T{clock}Z" >= since)
    return None
