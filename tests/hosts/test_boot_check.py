"""Detection of bootable disks by their first sectors."""

import os
import struct
from pathlib import Path

import pytest

from shctl.common.errors import NotFound
from shctl.hosts import boot_check
from tests.guests import boot_sector

SIGNATURE = b"\x55\xaa"
MBR_ENTRY = b"\x80\0\0\0\x83".ljust(16, b"\0")
TABLE = bytes(446) + MBR_ENTRY.ljust(64, b"\0") + SIGNATURE
# The protective entry, then a header with 128 entries of 128 bytes from block 2 on.
EMPTY_GPT = (bytes(446) + b"\0\0\0\0\xee".ljust(64, b"\0") + SIGNATURE) + (
    b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2, 128, 128)
).ljust(512, b"\0")
GPT = EMPTY_GPT + b"\x28\x73\x2a\xc1".ljust(128, b"\x01")
PARTED = bytes.fromhex("fab800108ed0bc00b0b800008ed88ec0")
FAT = b"\xeb\x3c\x90mkfs.fat".ljust(54, b"\0") + b"FAT16   \x0e\x1f"
FAT = (FAT + b"This is not a bootable disk.").ljust(510, b"\0") + SIGNATURE
EXT4 = bytes(1024 + 56) + b"\x53\xef"
LVM = bytes(512) + b"LABELONE"
DISK = (
    "<disk type='file'><driver type='{format}'/><source file='{path}'/><target dev='{target}'/>"
    "</disk>"
)
NOTHING = "the installer ended without writing to a disk"


class Rack:
    """A hypervisor without pools, so that files are read by this process."""

    def volume_at(self, path: str) -> object:
        raise NotFound(path)


def check(*disks: str, uefi: bool = False, more: str = "") -> boot_check.Result:
    system = "<os firmware='efi'/>" if uefi else "<os/>"
    xml = f"<domain>{system}{more}<devices>{''.join(disks)}</devices></domain>"
    return boot_check.check(Rack(), xml)  # type: ignore[arg-type]


def disk(path: Path, content: bytes | None = b"", target: str = "sda", kind: str = "raw") -> str:
    if content is not None:
        path.write_bytes(content)
        os.truncate(path, 2**21)
    return DISK.format(path=path, target=target, format=kind)


BOOTABLE = {
    "sector": (boot_sector("x"), True, False),
    "table alone": (TABLE, False, True),
    "table of parted's": (PARTED.ljust(446, b"\0") + TABLE[446:], True, True),
    "empty table": (bytes(510) + SIGNATURE, False, False),
    "empty table of parted's": (PARTED.ljust(510, b"\0") + SIGNATURE, False, False),
    "gpt": (GPT, False, True),
    "gpt with code": (b"\xeb\x63" + GPT[2:], True, True),
    "empty gpt": (EMPTY_GPT, False, False),
    "gpt without its mbr": (bytes(512) + GPT[512:], False, False),
    "gpt elsewhere": (EMPTY_GPT[:584] + struct.pack("<QII", 2**40, 128, 128), False, True),
    "fat": (FAT, False, True),
    "ext4": (EXT4, False, False),
    "nothing": (b"", False, False),
}


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
@pytest.mark.parametrize("kind", BOOTABLE)
def test_r47_bootable_disks(kind: str, firmware: str, tmp_path: Path) -> None:
    head, *boots = BOOTABLE[kind]
    uefi = firmware == "uefi"
    result = check(disk(tmp_path / "a", head), uefi=uefi)
    assert (result == boot_check.Result()) == boots[uefi]
    assert result.unchecked is None


def test_r47_bios_boots_only_the_first_disk(tmp_path: Path) -> None:
    blank, other = disk(tmp_path / "b"), disk(tmp_path / "a", boot_sector("x"), "sdb")
    problem = check(blank, other).problem
    assert problem is not None
    assert "to disk sda, the only one that the BIOS boots; it wrote one to disk sdb" in problem
    assert check(blank, other.replace("</disk>", "<boot order='1'/></disk>")) == boot_check.Result()
    # UEFI checks all disks.
    assert check(blank, disk(tmp_path / "c", GPT, "sdb"), uefi=True) == boot_check.Result()


def test_r47_disks_of_a_domain_with_deep_metadata(tmp_path: Path) -> None:
    deep = "<metadata>" + "<a>" * 400 + "</a>" * 400 + "</metadata>"
    assert check(disk(tmp_path / "a", boot_sector("x")), more=deep) == boot_check.Result()


def test_r47_unbootable_disks(tmp_path: Path) -> None:
    assert check(disk(tmp_path / "a"), disk(tmp_path / "b")).problem == NOTHING
    problem = check(disk(tmp_path / "a", LVM)).problem
    assert (
        problem == "the installer ended without writing a boot sector or partition table to a disk"
    )
    assert check().problem == NOTHING


def test_r47_unreadable_disks_are_unchecked(tmp_path: Path) -> None:
    missing, blank = disk(tmp_path / "gone", None), disk(tmp_path / "blank", target="sdb")
    overlay = disk(tmp_path / "overlay", b"QFI\xfb", kind="qcow2")
    locked = disk(tmp_path / "a").replace("</disk>", "<encryption format='luks'/></disk>")
    os.mkfifo(tmp_path / "pipe")
    for one in (missing, overlay, locked, disk(tmp_path / "pipe", None), disk(tmp_path, None)):
        result = check(one, blank)
        assert result.problem is None
        assert result.unchecked is not None
        assert "sda" in result.unchecked
    # UEFI needs one bootable disk, and the BIOS only checks the first.
    good = disk(tmp_path / "b", GPT, "sdb")
    assert check(missing, good, uefi=True) == boot_check.Result()
    assert check(disk(tmp_path / "c", boot_sector("x")), missing) == boot_check.Result()
