"""Determine whether firmware can boot a disk, from the start of the disk.

The BIOS runs the code in the first sector if the sector ends with 55 AA. UEFI searches for files in
partitions, or in a FAT file system on the whole disk (UEFI 2.10, 13.3).
"""

import struct

_SECTOR = 512
_SIGNATURE = b"\x55\xaa"
_CODE = 440  # bytes; then come a serial number and the partition table
_TABLE, _ENTRY, _ENTRIES = 446, 16, 4
_ACTIVE = 0x80
_GPT, _GPT_LEAST = b"EFI PART", 16
_FAT_JUMPS = (b"\xeb", b"\xe9")

# Code that partitioning and formatting write to the first sector, and that boots nothing itself.
_PARTED = bytes.fromhex("fa b8 00 10 8e d0 bc 00 b0")  # starts the active partition: parted(8)
_NO_SYSTEM = b"not a bootable disk"  # mkfs.fat(8), mkntfs(8)


def is_bootable(head: bytes, *, uefi: bool) -> bool:
    """Return whether firmware finds something to boot on a disk with this start."""
    if head[_SECTOR - 2 : _SECTOR] != _SIGNATURE:
        return False
    return _has_partition(head) or _is_fat(head) if uefi else _has_code(head[:_SECTOR])


def _has_code(sector: bytes) -> bool:
    code = sector[:_CODE]
    if code.startswith(_PARTED):
        return any(entry[0] == _ACTIVE for entry in _entries(sector))
    return any(code) and _NO_SYSTEM not in sector


def _is_fat(head: bytes) -> bool:
    return head.startswith(_FAT_JUMPS) and b"FAT" in head[:90]


def _has_partition(head: bytes) -> bool:
    if head[_SECTOR:].startswith(_GPT):
        return _has_gpt_partition(head)
    return any(entry[0] in (0, _ACTIVE) and entry[4] for entry in _entries(head))


def _entries(sector: bytes) -> list[bytes]:
    """Return the four entries of a partition table: byte 0 marks an active one, 4 is the type."""
    ends = range(_TABLE, _TABLE + _ENTRY * _ENTRIES, _ENTRY)
    return [sector[at : at + _ENTRY] for at in ends]


def _has_gpt_partition(head: bytes) -> bool:
    """Return whether one entry of a GPT has a type; the fields are those of UEFI 2.10, 5.3.2."""
    if len(head) < 2 * _SECTOR:
        return False
    block, number, size = struct.unpack_from("<QII", head, _SECTOR + 72)
    start = block * _SECTOR
    if size < _GPT_LEAST or start + number * size > len(head):
        return True  # the table is elsewhere on the disk, so this is not certain
    return any(any(head[at : at + 16]) for at in range(start, start + number * size, size))
