"""Take screenshots of hosts as PNG files."""

import re
import struct
import zlib
from pathlib import Path

from shctl.common.errors import Conflict, InvalidInput, ShctlError
from shctl.hypervisor.domain import Domain

_PNG = b"\x89PNG\r\n\x1a\n"
_PPM = re.compile(rb"P6\s(?:#[^\n]*\n)*\s*(\d+)\s+(\d+)\s+255\s", re.DOTALL)


def take(host: Domain) -> bytes:
    """Return a screenshot as PNG; raise Conflict if the host is off."""
    if not host.active:
        raise Conflict(
            f"host {host.name!r} is {host.state}: start it with 'shctl hosts start {host.name}'"
        )
    return as_png(host.screenshot())


def write(png: bytes, file: str) -> None:
    """Write a screenshot to a file; raise InvalidInput if that fails."""
    try:
        Path(file).write_bytes(png)
    except OSError as error:
        raise InvalidInput(f"file: cannot write {file}: {error.strerror}", field="file") from error


def as_png(image: bytes) -> bytes:
    """Return a PNG of a PNG or a binary PPM image; raise ShctlError for anything else."""
    if image.startswith(_PNG):
        return image
    header = _PPM.match(image)
    if header is None:
        raise ShctlError("QEMU's screenshot is neither PNG nor PPM")
    width, height = int(header[1]), int(header[2])
    return _encode(width, height, image[header.end() :])


def _encode(width: int, height: int, pixels: bytes) -> bytes:
    """Return 8-bit RGB pixels as PNG (RFC 2083); each row starts with its filter, 0 for none."""
    stride = 3 * width
    rows = b"".join(b"\0" + pixels[y * stride : (y + 1) * stride] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _PNG + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
