"""What the log of a host's QEMU says; it outlives libvirtd, which forgets how a domain ended."""

import os
import re
from pathlib import Path

from shctl.common import names

LOGS = Path("/var/log/libvirt/qemu")
# Bytes at the log's end that are read, four times what virtlogd lets it grow to by itself. QEMU
# writes there as well, and without virtlogd nothing bounds it.
MOST = 8 * 2**20
# Written by libvirt itself. QEMU's own lines have their time in another form.
_SAVED = b"saved"
_START = b": starting up libvirt version"
_END = re.compile(
    rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+0000: shutting down, reason=(\w+)", re.MULTILINE
)


def path(host: str) -> Path:
    """Return where libvirt lets QEMU log; raise InvalidInput for a name that leads elsewhere."""
    return LOGS / f"{names.file_name(host)}.log"


def first_ending(host: str, uuid: str) -> str | None:
    """Return how the host's first QEMU ended: shutdown, destroyed, crashed, ...

    A guest that was saved goes on in the next one, so "saved" means that it has not yet.

    Earlier hosts of this name are in the log too, perhaps from a moment ago, but each creation
    has a UUID of its own, which is in QEMU's command line. None means that the log does not tell,
    "unknown" that it will not: nobody saw that QEMU end, and another one has started since.
    """
    try:
        log = _end(path(host))
    except OSError:
        return None
    _, _, after = log.partition(f"-uuid {uuid} ".encode())
    another, end = _START, None
    while another and (end is None or end[1] == _SAVED):
        its_own, another, after = after.partition(_START)
        if not (end := _END.search(its_own)):
            return "unknown" if another else None
    return end[1].decode() if end else None


def _end(log: Path) -> bytes:
    with log.open("rb") as stream:
        length = stream.seek(0, os.SEEK_END)
        stream.seek(max(length - MOST, 0))
        return stream.read(MOST)
