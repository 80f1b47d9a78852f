"""The first bytes of kernels and initrds."""

import gzip
import struct

import pytest

from shctl.install.formats import (
    COMPRESSIONS,
    compression,
    initrd_flaw,
    is_efi,
    is_initrd,
    is_kernel,
)
from tests.install.treeserver import KERNEL

EFI = b"MZ".ljust(60, b"\0") + struct.pack("<I", 0x80) + b"\0" * 0x40 + b"PE\0\0"
INITRDS = [*COMPRESSIONS.values(), b"070701", b"070702", b"\0" * 512 + b"BZh9"]
LZ4_FRAME = b"\x04\x22\x4d\x18"
OTHERS = [
    LZ4_FRAME,
    b"",
    b"\0" * 600,
    b"<!DOCTYPE html>",
    b"BZ",
    b"070707",
    b"\x1f\x8b",
    b"initrd",
    KERNEL,
]


@pytest.mark.parametrize("head", INITRDS)
def test_initrd(head: bytes) -> None:
    assert is_initrd(head + b"more")


@pytest.mark.parametrize("head", OTHERS)
def test_not_an_initrd(head: bytes) -> None:
    assert not is_initrd(head)


@pytest.mark.parametrize("head", [*INITRDS, LZ4_FRAME, b"x" * 4096, bytes(range(256))])
def test_possible_initrd(head: bytes) -> None:
    assert initrd_flaw(head) == ""


@pytest.mark.parametrize(
    ("head", "flaw"),
    [
        (b"", "an empty file"),
        (b"\0" * 600, "no initrd"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"404 page not found\n", "no initrd"),
        (b'{"error":"not_found"}', "no initrd"),
        (KERNEL, "no initrd"),
        (EFI, "no initrd"),
    ],
)
def test_other_formats(head: bytes, flaw: str) -> None:
    assert initrd_flaw(head) == flaw


def test_compression() -> None:
    assert compression(gzip.compress(b"cpio")) == "gzip"
    assert compression(b"070701") is None


@pytest.mark.parametrize("head", [b"", b"MZ", EFI[:-1], EFI.replace(b"MZ", b"ZM"), KERNEL])
def test_not_an_efi_program(head: bytes) -> None:
    assert not is_efi(head)


def test_kernels() -> None:
    assert is_efi(EFI)
    assert not is_kernel(EFI)
    assert is_kernel(KERNEL)
