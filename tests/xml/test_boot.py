"""Boot settings in domain XML."""

import pytest

from shctl.xml import boot
from shctl.xml.boot import BootDisk, BootInfo
from shctl.xml.files import read_uuid

ORDERED = """
<domain><on_reboot>destroy</on_reboot><os><kernel>/b/kernel</kernel></os><devices>
  <disk type='file'><driver type='raw'/><source file='/a'/><target dev='sda'/></disk>
  <disk type='volume'><driver type='qcow2'/><source pool='p' volume='v'/><target dev='sdb'/>
    <boot order='2'/></disk>
  <disk type='file' device='cdrom'><target dev='sdc'/></disk>
  <disk type='file'><driver type='raw'/><source file='/c'><encryption/></source>
    <target dev='sdd'/></disk>
  <interface type='network'><boot order='1'/></interface>
</devices></domain>
"""


def test_kernel_and_order() -> None:
    assert boot.read(ORDERED) == BootInfo("/b/kernel", "destroy", "network")


@pytest.mark.parametrize(
    ("inside", "first"),
    [
        ("", "hd"),
        ("<os><boot dev='cdrom'/><boot dev='hd'/></os>", "cdrom"),
        ("<devices><disk><boot order='1'/></disk></devices>", "hd"),
        ("<devices><disk device='lun'><boot order='1'/></disk></devices>", "hd"),
        ("<devices><disk device='floppy'><boot order='1'/></disk></devices>", "floppy"),
        ("<devices><hostdev><boot order='x'/></hostdev></devices>", "hd"),
    ],
)
def test_first_device(inside: str, first: str) -> None:
    assert boot.read(f"<domain>{inside}</domain>") == BootInfo("", "restart", first)


def test_disks_in_boot_order() -> None:
    assert boot.read_disks(ORDERED) == [
        BootDisk("sdb", raw=False, path=None, pool="p", volume="v"),
        BootDisk("sda", raw=True, path="/a", pool=None, volume=None),
        BootDisk("sdd", raw=False, path="/c", pool=None, volume=None),
    ]


@pytest.mark.parametrize(
    ("element", "path"),
    [
        ("", None),
        ("<nvram>/v/a_VARS.fd</nvram>", "/v/a_VARS.fd"),
        ("<nvram type='file'><source file='/v/b'/></nvram>", "/v/b"),
        ("<nvram template='/t'/>", None),
    ],
)
def test_uefi_variables(element: str, path: str | None) -> None:
    assert boot.read_nvram(f"<domain><os>{element}</os></domain>") == path


def test_uuid_in_libvirts_files() -> None:
    stored = b"<!-- made --><domain><name>a</name><uuid>u</uuid></domain>"
    assert read_uuid(stored) == read_uuid(b"<domstatus>" + stored + b"</domstatus>") == "u"
    assert read_uuid(b"<domstatus/>") is None
    with pytest.raises(ValueError, match="not XML"):
        read_uuid(b"<domain>")
