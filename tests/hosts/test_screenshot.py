"""Screenshots: QEMU's image becomes a PNG."""

import struct
import zlib

import pytest

from shctl.common.errors import ShctlError
from shctl.hosts.screenshot import as_png

PIXELS = bytes(range(18))  # 3 by 2


@pytest.mark.parametrize("head", [b"P6\n3 2\n255\n", b"P6\n# by QEMU\n3 2\n255\n", b"P6 3 2 255 "])
def test_ppm_becomes_png(head: bytes) -> None:
    png = as_png(head + PIXELS)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (3, 2)
    at = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[at - 4 : at])
    assert zlib.decompress(png[at + 4 :][:length]) == b"\0" + PIXELS[:9] + b"\0" + PIXELS[9:]


def test_png_is_unchanged() -> None:
    png = as_png(b"P6 3 2 255 " + PIXELS)
    assert as_png(png) == png


@pytest.mark.parametrize("image", [b"", b"P5 3 2 255 xxxxxx", b"<html>", b"P6 3 2 65535 x"])
def test_anything_else_is_an_error(image: bytes) -> None:
    with pytest.raises(ShctlError, match="neither PNG nor PPM"):
        as_png(image)
