"""The owner of QEMU's files, from qemu.conf and libvirt's capabilities."""

from pathlib import Path

import pytest

from shctl.common import paths
from shctl.common.errors import Conflict
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.ownership import Owner, is_dynamic, qemu_owner
from shctl.xml.capabilities import read_qemu_user

DAC = "<secmodel><model>dac</model><doi>0</doi>{}</secmodel>"
OTHER = "<secmodel><model>apparmor</model><doi>0</doi></secmodel>"


@pytest.mark.parametrize(
    ("conf", "dynamic"),
    [
        (b"", True),
        (b"#dynamic_ownership = 0\n", True),
        (b"dynamic_ownership = 1\n", True),
        (b"dynamic_ownership = 0\n", False),
        (b"\xff\n\tdynamic_ownership=0 # NFS", False),
        (b"dynamic_ownership = 0\ndynamic_ownership = 1\n", True),
        (b"xdynamic_ownership = 0\n", True),
    ],
)
def test_setting(conf: bytes, dynamic: bool) -> None:
    assert is_dynamic(conf) == dynamic


def test_many_blanks_take_no_time() -> None:
    assert is_dynamic(b" " * 2**20)


@pytest.mark.parametrize(
    ("models", "owner"),
    [
        ("", None),
        (OTHER, None),
        (DAC.format(""), None),
        (DAC.format("<baselabel type='kvm'>odd</baselabel>"), None),
        (OTHER + DAC.format("<baselabel type='kvm'>+64055:+109</baselabel>"), Owner(64055, 109)),
        (DAC.format("<baselabel type='kvm'>+0:+0</baselabel>"), Owner(0, 0)),
    ],
)
def test_owner(models: str, owner: Owner | None) -> None:
    xml = f"<capabilities><host>{models}</host></capabilities>"
    numbers = read_qemu_user(xml)
    assert (Owner(*numbers) if numbers else None) == owner


class Libvirt(Hypervisor):
    def capabilities(self) -> str:
        return "<capabilities><host/></capabilities>"


def test_no_call_if_libvirt_changes_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "qemu_conf", lambda: tmp_path / "qemu.conf")
    assert qemu_owner(Libvirt("qemu:///system")) is None


def test_unknown_owner_is_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "qemu_conf", lambda: tmp_path)  # a directory cannot be read
    with pytest.raises(Conflict, match="does not report QEMU"):
        qemu_owner(Libvirt("qemu:///system"))
