"""What the log of a host's QEMU says; it outlives libvirtd, which forgets how a domain ended."""

import re
from pathlib import Path

LOGS = Path("/var/log/libvirt/qemu")
# Written by libvirt itself, in UTC. QEMU's own lines have their time in another form.
_END = re.compile(
    r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)\.\d+\+0000: shutting down, reason=(\w+)", re.MULTILINE
)


def path(host: str) -> Path:
    """Return where libvirt lets QEMU log."""
    return LOGS / f"{host}.log"


def first_ending(host: str, since: str) -> str | None:
    """Return how the first QEMU that ended after a time did so: shutdown, destroyed, crashed, ...

    `since` is in UTC as RFC 3339 writes it. None means that the log does not tell.
    """
    try:
        text = path(host).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = (end for end in _END.finditer(text) if f"{end[1]}T{end[2]}Z" >= since)
    return next((end[3] for end in found), None)
