"""Tell files apart by what they are, not by what they are called, and what they stand on."""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

Identity = tuple[str, int, int] | str

# Of a qcow2 image, by docs/interop/qcow2.txt in QEMU's source: magic, version, where the backing
# file's name is and how long, the header's length; then type and length of each extension.
_HEADER, _EXTENSION = struct.Struct(">4sIQI80xI"), struct.Struct(">II")
_MAGIC, _FORMAT = b"QFI\xfb", 0xE2792ACA
_OLD, _OLD_LENGTH = 2, 72  # a version whose header does not tell its length
_HEAD = 2**16  # bytes; libvirt itself looks at half as many
_DEPTH = 200  # files on top of each other, libvirt's own limit


@dataclass(frozen=True)
class Backing:
    """What an image stands on: a file's name, and whether that file is known to be raw."""

    name: str
    is_raw: bool


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


def backing_files(path: str) -> Iterator[str]:
    """Return the files below a qcow2 image, the nearest first, as far as they can be read."""
    for _ in range(_DEPTH):
        backing = read_backing(_head(Path(path)))
        if backing is None:
            return
        path = str(Path(path).parent / backing.name)
        yield path
        if backing.is_raw:  # its first bytes are a guest's, who may write any header there
            return


def _head(path: Path) -> bytes:
    with suppress(OSError, ValueError):  # ValueError: a name that no path can be
        # Opening anything else, such as a FIFO, may wait for ever.
        if path.is_absolute() and (path.is_file() or path.is_block_device()):
            with path.open("rb") as stream:
                return stream.read(_HEAD)
    return b""


def read_backing(head: bytes) -> Backing | None:
    """Return what a qcow2 image stands on as the file's first bytes tell; None for nothing."""
    if len(head) < _HEADER.size or not head.startswith(_MAGIC):
        return None
    _, version, offset, size, length = _HEADER.unpack_from(head)
    if not (name := head[offset : offset + size]):
        return None
    kind = _backing_format(head[_OLD_LENGTH if version == _OLD else length : offset])
    return Backing(os.fsdecode(name), is_raw=kind == b"raw")


def _backing_format(extensions: bytes) -> bytes | None:
    while len(extensions) >= _EXTENSION.size:
        kind, size = _EXTENSION.unpack_from(extensions)
        end = _EXTENSION.size + size
        if kind == _FORMAT:
            return extensions[_EXTENSION.size : end]
        extensions = extensions[end + -size % 8 :]
    return None
