"""Find users of a file that libvirt does not know: loop devices and processes with locks."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from shctl.common import files

_DEVICES = Path("/sys/block")
_LOCKS = Path("/proc/locks")


def loops() -> Iterator[tuple[str, str]]:
    """Yield each loop device with the path of its backing file."""
    for device in files.children(_DEVICES):
        with suppress(OSError):  # a device without a file
            if device.name.startswith("loop"):
                path = os.fsdecode((device / "loop/backing_file").read_bytes())
                yield f"/dev/{device.name}", path.removesuffix("\n").removesuffix(" (deleted)")


def is_locked(path: str) -> bool:
    """Return whether a process holds a lock on a file, as every QEMU does on its disks.

    /proc/locks lists the locks of open files (OFDLCK) of all processes. Raises Unreadable.
    """
    facts = files.stat_or_none(path)
    if facts is None:
        return False
    device = facts.st_dev
    inode = f"{os.major(device):02x}:{os.minor(device):02x}:{facts.st_ino}"
    rows = [line.split() for line in _LOCKS.read_text().splitlines()]
    return any("OFDLCK" in row and inode in row for row in rows)
