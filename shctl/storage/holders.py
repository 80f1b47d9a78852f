"""What uses a file without libvirt: loop devices, and QEMU processes of other users."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from shctl.common import files
from shctl.common.errors import Conflict

_DEVICES = Path("/sys/block")
_LOCKS = Path("/proc/locks")


def loops() -> Iterator[tuple[str, str]]:
    """Yield the loop devices that there are, each with the path of its file."""
    for device in files.children(_DEVICES):
        with suppress(OSError):  # it has no file, or no longer
            if device.name.startswith("loop"):
                path = os.fsdecode((device / "loop/backing_file").read_bytes())
                yield f"/dev/{device.name}", path.removesuffix("\n").removesuffix(" (deleted)")


def check_unlocked(path: str) -> None:
    """Raise Conflict for a file that some process has locked, as each QEMU does.

    To be asked while no QEMU of libvirt's has it. The kernel tells of all locks that belong to open
    files (OFDLCK), whichever process has them.
    """
    facts = files.look(path)
    if facts is None:
        return
    device = facts.st_dev
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{facts.st_ino}"
    rows = [line.split() for line in _LOCKS.read_text().splitlines()]
    if any("OFDLCK" in row and wanted in row for row in rows):
        raise Conflict(
            f"its disk {path} is in use by a process that libvirt does not know, such as qemu-nbd"
            " or the QEMU of a user; end that first"
        )
