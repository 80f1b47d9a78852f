"""Detect kernels and initrds by their first bytes, not by their names."""

import struct
import zlib
from collections.abc import Mapping

from shctl.install.text_files import is_page

# Magic numbers of the boot sector and the setup header by offset, see boot.rst in
# Documentation/arch/x86 of Linux.
KERNEL_MAGIC: Mapping[int, bytes] = {0x1FE: b"\x55\xaa", 0x202: b"HdrS"}
KERNEL_HEAD = 0x206  # bytes, up to the end of both
_ROUNDING = 4096  # bytes that the header may count too many

# Compressions of an initrd by magic number, see lib/decompress.c of Linux. These are longer than
# Linux's own, so that other files are not taken for compressed ones.
COMPRESSIONS: Mapping[str, bytes] = {
    "gzip": b"\x1f\x8b\x08",
    "bzip2": b"BZh",
    "lzma": b"\x5d\x00\x00",
    "xz": b"\xfd7zXZ\x00",
    "lzo": b"\x89LZO\x00\r\n\x1a\n",
    "lz4": b"\x02\x21\x4c\x18",  # the legacy format, the one that Linux knows
    "zstd": b"\x28\xb5\x2f\xfd",
}
# The newc format without and with checksums, see buffer-format.rst in
# Documentation/driver-api/early-userspace of Linux.
CPIO = (b"070701", b"070702")

_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\r\n"

# The offset of an EFI program's PE header is in its DOS header, at byte 60.
_DOS, _PE_OFFSET, _PE = b"MZ", struct.Struct("<60xI"), b"PE\0\0"


def is_kernel(head: bytes) -> bool:
    """Return whether a file that starts with head, KERNEL_HEAD bytes, is an x86 Linux kernel."""
    return all(head[at : at + len(magic)] == magic for at, magic in KERNEL_MAGIC.items())


def kernel_length(head: bytes) -> int:
    """Return the least number of bytes of a kernel that starts with head."""
    # setup_sects, where 0 means 4, and syssize in units of 16 bytes, see boot.rst.
    sectors, size = head[0x1F1] or 4, int.from_bytes(head[0x1F4:0x1F8], "little")
    return (sectors + 1) * 512 + size * 16 - _ROUNDING


def is_efi(head: bytes) -> bool:
    """Return whether a file that starts with head is an EFI program, as recent kernels are."""
    if not head.startswith(_DOS) or len(head) < _PE_OFFSET.size:
        return False
    at: int = _PE_OFFSET.unpack_from(head)[0]
    return head[at : at + len(_PE)] == _PE


def compression(head: bytes) -> str | None:
    """Return the compression of a file that starts with head, None for other files."""
    return next((name for name, magic in COMPRESSIONS.items() if head.startswith(magic)), None)


def is_initrd(head: bytes) -> bool:
    """Return whether Linux can unpack an initrd that starts with head.

    Linux skips NULs before the first archive. It does not support LZ4's frame format.
    """
    start = head.lstrip(b"\0")
    return start.startswith(CPIO) or compression(start) is not None


def kernel_flaw(head: bytes) -> str:
    """Return in a few words why a file that starts with head cannot be a kernel, or "".

    EFI programs pass: a kernel for another architecture is rejected later, with a better message.
    """
    return "" if is_kernel(head) or is_efi(head) else _flaw(head, "no kernel")


def initrd_flaw(head: bytes) -> str:
    """Return in a few words why a file that starts with head cannot be an initrd, or "".

    Unknown formats pass: a kernel may support others.
    """
    plain = _gunzip(head) if compression(head) == "gzip" else head
    is_other = is_kernel(head) or is_efi(head) or _is_message(head) or not head.strip(b"\0")
    return _flaw(plain, "no initrd") if is_other or is_page(plain) else ""


def _gunzip(head: bytes) -> bytes:
    """Return the decompressed start of a gzip file: some servers send error pages like that."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, KERNEL_HEAD)
    except zlib.error:
        return b""


def _is_message(head: bytes) -> bool:
    """Return whether head is JSON or text of several words, as a server's error message is."""
    is_message = len(head.split(maxsplit=1)) > 1 or head.startswith((b"{", b"["))
    return is_message and not head.translate(None, _PRINTABLE)


def _flaw(head: bytes, otherwise: str) -> str:
    if not head:
        return "an empty file"
    return "a web page" if is_page(head) else otherwise
