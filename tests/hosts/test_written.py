"""Whether a disk can be booted, by how it begins."""

import os
from pathlib import Path

import pytest

from shctl.errors import NotFound
from shctl.hosts import written
from tests.guests import boot_sector


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Spare each test a look at the hypervisor, which none of these touches."""


GPT = bytes(510) + b"\x55\xaa" + b"EFI PART"
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


def judge(*disks: str) -> written.Verdict:
    xml = f"<domain><devices>{''.join(disks)}</devices></domain>"
    return written.judge(Rack(), xml)  # type: ignore[arg-type]


def disk(path: Path, content: bytes | None = b"", target: str = "sda", kind: str = "raw") -> str:
    if content is not None:
        path.write_bytes(content)
        os.truncate(path, 2**21)
    return DISK.format(path=path, target=target, format=kind)


@pytest.mark.parametrize(
    "head", [boot_sector("x"), GPT, bytes(512) + b"EFI PART"], ids=["sector", "gpt", "gpt alone"]
)
def test_r47_what_boots(head: bytes, tmp_path: Path) -> None:
    assert judge(disk(tmp_path / "a", head)) == written.Verdict()
    # The one that boots may be any of several.
    blank, other = disk(tmp_path / "b"), disk(tmp_path / "a", head, "sdb")
    assert judge(blank, other) == written.Verdict()


def test_r47_what_does_not_boot(tmp_path: Path) -> None:
    assert judge(disk(tmp_path / "a"), disk(tmp_path / "b")).fault == NOTHING
    fault = judge(disk(tmp_path / "a", LVM)).fault
    assert fault == "the installer ended without writing a boot sector or partition table to a disk"
    assert judge().fault == NOTHING


def test_r47_what_cannot_be_seen_is_neither(tmp_path: Path) -> None:
    missing, blank = disk(tmp_path / "gone", None), disk(tmp_path / "blank", target="sdb")
    overlay = disk(tmp_path / "overlay", b"QFI\xfb", kind="qcow2")
    locked = disk(tmp_path / "a").replace("</disk>", "<encryption format='luks'/></disk>")
    os.mkfifo(tmp_path / "pipe")
    for one in (missing, overlay, locked, disk(tmp_path / "pipe", None), disk(tmp_path, None)):
        verdict = judge(one, blank)
        assert verdict.fault is None
        assert verdict.unseen is not None
        assert "sda" in verdict.unseen
    # But one that boots is enough.
    assert judge(missing, disk(tmp_path / "b", GPT, "sdb")) == written.Verdict()
