"""Read how a host's QEMU ended from its log: libvirtd forgets that when it restarts."""

import os
import re
from pathlib import Path

from shctl.common import names, paths
from shctl.common.states import Reason

# Bytes read from the end of the log: four times virtlogd's default max_size. Without virtlogd,
# nothing limits what QEMU writes there.
MAX_BYTES = 8 * 2**20
# libvirt's own lines; the timestamps of QEMU's lines have another format.
_SAVED = b"saved"
_START = b": starting up libvirt version"
_END = re.compile(
    rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+0000: shutting down, reason=(\w+)", re.MULTILINE
)


def path(host: str) -> Path:
    """Return the path of a host's QEMU log; raise InvalidInput for a name with a slash."""
    return paths.qemu_logs() / f"{names.file_name(host)}.log"


def first_ending(host: str, uuid: str) -> str | None:
    """Return how the host's first QEMU ended: shutdown, destroyed, crashed, ...

    A saved guest continues in the next QEMU; "saved" means that this has not started yet. None
    means that the log has no end yet, "unknown" that it never will: another QEMU has started since.

    The log may have earlier hosts of this name. The UUID in QEMU's command line distinguishes them.
    """
    try:
        log = _read_end(path(host))
    except OSError:
        return None
    _, _, after = log.partition(f"-uuid {uuid} ".encode())
    restarted, end = _START, None
    while restarted and (end is None or end[1] == _SAVED):
        lines, restarted, after = after.partition(_START)
        end = _END.search(lines)
        if end is None:
            return Reason.UNKNOWN if restarted else None
    return end[1].decode() if end else None


def _read_end(log: Path) -> bytes:
    with log.open("rb") as stream:
        length = stream.seek(0, os.SEEK_END)
        stream.seek(max(length - MAX_BYTES, 0))
        return stream.read(MAX_BYTES)
