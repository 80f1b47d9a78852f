"""Stand-ins for operating systems: machine code that boots in a moment, says its line and ends.

A kernel runs its real-mode part alone, which is all that a bzImage needs to boot from SeaBIOS; a
boot sector stands for an installed disk. Both are 16-bit code that runs wherever it is loaded.
"""

import struct
from enum import Enum

_SECTOR = 512
_CODE = 0x280  # where a kernel's code begins; its header ends before that
_TICKS_PER_SECOND = 18.2  # of the BIOS clock


class End(Enum):
    """What a guest does after its message, as machine code."""

    RESET = bytes.fromhex(
        "b0 fe"  # mov al, 0xfe
        "e6 64"  # out 0x64, al      ; the keyboard controller pulls the reset line
        "f4"  # again: hlt
        "eb fd"  # jmp again
    )
    POWER_OFF = bytes.fromhex(
        "ba 04 06"  # mov dx, 0x604  ; q35's ACPI power management control
        "b8 00 20"  # mov ax, 0x2000 ; sleep now, type S5
        "ef"  # out dx, ax
        "f4"  # again: hlt
        "eb fd"  # jmp again
    )
    HALT = bytes.fromhex(
        "fa"  # cli
        "f4"  # again: hlt
        "eb fd"  # jmp again
    )
    SPIN = bytes.fromhex("eb fe")  # again: jmp again


# Send the zero-terminated text at ds:si to the first serial port. Waiting until the port is free
# matters: without it a slow reader of the port loses characters.
_SEND = bytes.fromhex(
    "fc"  # cld
    "ac"  # next: lodsb
    "84 c0"  # test al, al
    "74 12"  # jz done
    "88 c4"  # mov ah, al
    "ba fd 03"  # mov dx, 0x3fd      ; line status
    "ec"  # wait: in al, dx
    "a8 20"  # test al, 0x20         ; may send
    "74 fb"  # jz wait
    "88 e0"  # mov al, ah
    "ba f8 03"  # mov dx, 0x3f8      ; data
    "ee"  # out dx, al
    "eb e9"  # jmp next
)  # done:

# The loader leaves es at the header and the address of the command line in there.
_SEND_CMDLINE = (
    bytes.fromhex(
        "26 66 a1 28 02"  # mov eax, es:[0x228]
        "89 c6"  # mov si, ax
        "83 e6 0f"  # and si, 15
        "66 c1 e8 04"  # shr eax, 4
        "8e d8"  # mov ds, ax
    )
    + _SEND
)


def kernel(
    message: str,
    end: End = End.POWER_OFF,
    *,
    after: float = 0,
    show_cmdline: bool = False,
    installs: bytes | None = None,
) -> bytes:
    """Return a bzImage that prints a line, waits `after` seconds and ends.

    With `show_cmdline` it prints `cmdline: ` and its kernel command line as a second line. It
    writes the boot sector `installs` to the first disk before it waits.
    """
    code = _say(message + "\r\n")
    if show_cmdline:
        code += _say("cmdline: ") + _SEND_CMDLINE + _say("\r\n")
    if installs:
        code += _write_sector(installs)
    code += _wait(after) + end.value
    return _image(code)


def boot_sector(message: str, end: End = End.HALT, *, after: float = 0) -> bytes:
    """Return a boot sector that prints a line, waits `after` seconds and ends."""
    code = _say(message + "\r\n") + _wait(after) + end.value
    if len(code) > _SECTOR - 2:
        raise ValueError("the message is too long for a boot sector")
    return code.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa"


def _say(text: str) -> bytes:
    """Return code that sends `text`, which stands behind a call that skips it."""
    data = text.encode() + b"\0"
    return (
        bytes.fromhex("0e 1f")  # push cs; pop ds
        + b"\xe8" + struct.pack("<H", len(data))  # call over
        + data
        + b"\x5e"  # over: pop si
        + _SEND
    )  # fmt: skip


def _write_sector(sector: bytes) -> bytes:
    """Return code by which the BIOS writes the first disk's first sector; a call jumps over that."""
    return (
        b"\xe8" + struct.pack("<H", len(sector))  # call over
        + sector
        + bytes.fromhex(
            "5b"  # over: pop bx
            "0e 07"  # push cs; pop es    ; the sector is at es:bx
            "b8 01 03"  # mov ax, 0x0301  ; write one sector
            "b9 01 00"  # mov cx, 1       ; cylinder 0, sector 1
            "ba 80 00"  # mov dx, 0x80    ; head 0, first hard disk
            "cd 13"  # int 0x13
        )
    )  # fmt: skip


def _wait(seconds: float) -> bytes:
    """Return code that lets that many changes of the BIOS clock go by."""
    if not seconds:
        return b""
    return bytes.fromhex(
        "fb"  # sti
        "31 c0"  # xor ax, ax
        "8e d8"  # mov ds, ax
        f"b9 {struct.pack('<H', round(seconds * _TICKS_PER_SECOND)).hex()}"  # mov cx, ticks
        "8b 1e 6c 04"  # next: mov bx, [0x46c]
        "f4"  # wait: hlt
        "3b 1e 6c 04"  # cmp bx, [0x46c]
        "74 f9"  # je wait
        "e2 f3"  # loop next
    )


def _image(code: bytes) -> bytes:
    """Return a bzImage (Linux boot protocol 2.12) around real-mode code.

    The fields are those of Documentation/arch/x86/boot.rst in Linux.
    """
    sectors = -(-(_CODE + len(code)) // _SECTOR)
    image = bytearray(sectors * _SECTOR)
    image[0x1F1] = sectors - 1  # setup_sects: the first one does not count
    struct.pack_into("<I", image, 0x1F4, _SECTOR // 16)  # syssize
    struct.pack_into("<H", image, 0x1FE, 0xAA55)  # boot_flag
    struct.pack_into("<BB", image, 0x200, 0xEB, _CODE - 0x202)  # jmp to the code
    struct.pack_into("<4sH", image, 0x202, b"HdrS", 0x020C)  # header, version
    image[0x211] = 1  # loadflags: the protected-mode part goes to 1 MiB
    struct.pack_into("<I", image, 0x214, 0x100000)  # code32_start
    struct.pack_into("<I", image, 0x22C, 0x7FFFFFFF)  # initrd_addr_max
    struct.pack_into("<I", image, 0x238, 2047)  # cmdline_size
    struct.pack_into("<I", image, 0x260, _SECTOR)  # init_size
    image[_CODE : _CODE + len(code)] = code
    return bytes(image) + bytes(_SECTOR)  # a protected-mode part that never runs
