"""Tell files apart by what they are, not by what they are called."""

import os
import stat
from pathlib import Path

Identity = tuple[str, int, int] | str


def identity(path: str) -> Identity:
    """Return what all paths of one file or block device have in common, links included.

    What is no absolute path, or is not there, stands for itself.
    """
    if not path.startswith("/"):
        return path
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return os.path.realpath(path)
    if stat.S_ISBLK(found.st_mode):  # many nodes may stand for one device
        return "block", found.st_rdev, 0
    return "file", found.st_dev, found.st_ino
