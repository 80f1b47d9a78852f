"""README is correct: its commands work and print what it shows."""

import gzip
import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.guests import End, boot_sector, kernel
from tests.support import ROOT, call, environment

pytestmark = pytest.mark.hypervisor

FROM_DISK = "Here is the disk"


def make_tree(directory: Path) -> None:
    """Make a mirror whose installer writes a boot sector and reboots."""
    images = directory / "dists/bookworm/main/installer-amd64/current/images"
    netboot = images / "netboot/debian-installer/amd64"
    netboot.mkdir(parents=True)
    (images / "MANIFEST").write_text("netboot/debian-installer/amd64/linux -- kernel\n")
    image = kernel("The installer says hello", End.RESET, installs=boot_sector(FROM_DISK))
    (netboot / "linux").write_bytes(image)
    (netboot / "initrd.gz").write_bytes(gzip.compress(b"\0" * 512))


def check_reader(printed: str) -> None:
    """Check what readme_steps.py printed against what README promises."""
    before, web1, db1 = printed.partition("\nshow web1\n")[0], *printed.split("\nshow ")[1:]
    assert "The installer says hello" in before
    installed = json.loads(web1.partition("\n")[2])
    assert (installed["state"], installed["install"]["phase"]) == ("running", "installed")
    started, _ = json.JSONDecoder().raw_decode(db1.partition("\n")[2])
    assert (started["state"], len(started["disks"])) == ("running", 2)


def test_commands_lead_to_an_installed_host(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    command = tmp_path / "bin" / "shctl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m shctl "$@"\n')
    command.chmod(0o755)
    path = f"PATH={command.parent}:{environment()['PATH']}"
    reader = str(ROOT / "tests" / "readme_steps.py")
    argv = [sys.executable, reader, str(ROOT / "README.md"), str(tmp_path / "tree")]
    try:
        check_reader(call("env", path, f"PYTHONPATH={ROOT}", *argv))
    finally:
        Path("/var/lib/shctl/tokens.json").unlink(missing_ok=True)
