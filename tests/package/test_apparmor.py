"""AppArmor: the rules of libvirt's helper for QEMU; needs no AppArmor."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.guests import End, kernel
from tests.install.treeparts import LOADER
from tests.install.treeserver import INITRD
from tests.installations import BOOT, SAY, arguments, delete, serving, virsh
from tests.support import ROOT, VOLUMES, ok

pytestmark = pytest.mark.usefixtures("vlan10")

HELPER = "/usr/lib/libvirt/virt-aa-helper"
RULE = re.compile(r'^ *"([^"]+)" ([a-z]+),$', re.MULTILINE)


def rules_of(name: str) -> dict[str, str]:
    """Return the paths that QEMU may open in a running host's profile, with their modes."""
    identity = virsh("domuuid", name).strip()
    argv = [HELPER, "--dryrun", "--replace", "--uuid", f"libvirt-{identity}"]
    done = subprocess.run(
        argv, input=virsh("dumpxml", name), capture_output=True, text=True, check=True
    )
    return dict(RULE.findall(done.stdout + done.stderr))


def test_profile_has_disks_kernel_and_initrd() -> None:
    with serving() as trees:
        ok(*arguments("armed", trees.of(End.HALT), "--disk=1", "--inject-text", "ks.cfg=x"))
    rules = rules_of("armed")
    assert {str(VOLUMES / "armed-sda"): "rwk", str(VOLUMES / "armed-sdb"): "rwk"}.items() <= (
        rules.items()
    )
    boot = BOOT / "armed"
    assert {str(boot / "kernel"): "r", str(boot / "initrd"): "r"}.items() <= rules.items()
    delete("armed")


def test_profile_has_the_cd_with_answers(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{"product": {"id": "SLES"}}')
    with serving() as trees:
        files = dict(zip(LOADER, (kernel(SAY, End.HALT), INITRD), strict=True))
        for path, content in {**files, "LiveOS/squashfs.img": b"hsqs"}.items():
            trees.server.files[f"/agama/{path}"] = content
        words = ["--force-memory", "--answers", str(tmp_path / "profile.json")]
        ok(*arguments("armed", f"{trees.server.url}/agama", *words))
    assert rules_of("armed")[str(BOOT / "armed" / "answers.iso")] == "rk"
    delete("armed")


def test_rule_of_the_package_matches_the_documentation() -> None:
    rule = "/var/lib/shctl/volumes/{,**} r,"
    for file in ("debian/apparmor.virt-aa-helper", "docs/operating.md"):
        assert rule in (ROOT / file).read_text().splitlines()
    assert f"{VOLUMES}/" in rule


def test_local_rules_are_read() -> None:
    """The documented file is included in the profile of libvirt's helper."""
    profile = Path("/etc/apparmor.d/usr.lib.libvirt.virt-aa-helper").read_text()
    assert re.search(r"include .*<local/usr.lib.libvirt.virt-aa-helper>", profile)
