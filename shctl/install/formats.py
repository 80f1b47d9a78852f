"""How kernels and initrds begin, whatever their names say."""

import struct
import zlib
from collections.abc import Mapping

from shctl.install.text_files import is_page

# The boot sector's magic and that of the setup header, see Documentation/arch/x86/boot.rst.
KERNEL_MAGIC: Mapping[int, bytes] = {0x1FE: b"\x55\xaa", 0x202: b"HdrS"}
KERNEL_HEAD = 0x206
_ROUNDED = 4096  # bytes that the header may count too many

# What Linux unpacks an initrd with, see lib/decompress.c in its source; the longest that is sure.
COMPRESSIONS: Mapping[str, bytes] = {
    "gzip": b"\x1f\x8b\x08",
    "bzip2": b"BZh",
    "lzma": b"\x5d\x00\x00",
    "xz": b"\xfd7zXZ\x00",
    "lzo": b"\x89LZO\x00\r\n\x1a\n",
    "lz4": b"\x02\x21\x4c\x18",  # the legacy format, the one that Linux knows
    "zstd": b"\x28\xb5\x2f\xfd",
}
# "newc" without and with checksums, see Documentation/driver-api/early-userspace/buffer-format.rst.
CPIO = (b"070701", b"070702")

_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\r\n"

# Where a file for EFI says where its PE header is, and what that begins with.
_DOS, _PE_OFFSET, _PE = b"MZ", struct.Struct("<60xI"), b"PE\0\0"


def is_kernel(head: bytes) -> bool:
    """Tell whether a file that starts with head (KERNEL_HEAD bytes) is an x86 Linux kernel."""
    return all(head[at : at + len(magic)] == magic for at, magic in KERNEL_MAGIC.items())


def kernel_length(head: bytes) -> int:
    """Return how many bytes a kernel that starts with head has at least."""
    # setup_sects, 4 where it is 0, and syssize in 16 bytes, see Documentation/arch/x86/boot.rst.
    sectors, size = head[0x1F1] or 4, int.from_bytes(head[0x1F4:0x1F8], "little")
    return (sectors + 1) * 512 + size * 16 - _ROUNDED


def is_efi(head: bytes) -> bool:
    """Tell whether a file that starts with head is an EFI program, as kernels of today are."""
    if not head.startswith(_DOS) or len(head) < _PE_OFFSET.size:
        return False
    at: int = _PE_OFFSET.unpack_from(head)[0]
    return head[at : at + len(_PE)] == _PE


def compression(head: bytes) -> str | None:
    """Return the key of COMPRESSIONS for a file that starts with head, None for all else."""
    return next((name for name, magic in COMPRESSIONS.items() if head.startswith(magic)), None)


def is_initrd(head: bytes) -> bool:
    """Tell whether Linux unpacks an initrd that starts with head.

    It skips NULs between archives, and at the beginning as well. LZ4's newer format, of frames, it
    does not know.
    """
    start = head.lstrip(b"\0")
    return start.startswith(CPIO) or compression(start) is not None


def kernel_flaw(head: bytes) -> str:
    """Return in a few words why a file that starts with head cannot be a kernel, or "".

    Those for EFI alone are kernels of other architectures, or of no use here: that comes out later.
    """
    return "" if is_kernel(head) or is_efi(head) else _flaw(head, "no kernel")


def initrd_flaw(head: bytes) -> str:
    """Return in a few words why a file that starts with head cannot be an initrd, or "".

    What no magic tells may still be one: a kernel may read a format of its own.
    """
    plain = _gunzip(head) if compression(head) == "gzip" else head
    is_other = is_kernel(head) or is_efi(head) or _is_prose(head) or not head.strip(b"\0")
    return _flaw(plain, "no initrd") if is_other or is_page(plain) else ""


def _gunzip(head: bytes) -> bytes:
    """Return what the first bytes of a gzip file unpack to; servers send pages like that."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, KERNEL_HEAD)
    except zlib.error:
        return b""


def _is_prose(head: bytes) -> bool:
    """Tell whether head is text of several words or JSON, as a server's excuse is."""
    is_excuse = len(head.split(maxsplit=1)) > 1 or head.startswith((b"{", b"["))
    return is_excuse and not head.translate(None, _PRINTABLE)


def _flaw(head: bytes, words: str) -> str:
    if not head:
        return "an empty file"
    return "a web page" if is_page(head) else words
