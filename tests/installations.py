"""Helpers for tests of installations: trees with test kernels, and hosts that boot them."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.guests import End, boot_sector, kernel
from tests.install import treeserver
from tests.install.treeserver import INITRD, TreeServer
from tests.support import LOGS, SHCTL, Done, environment, eventually, ok, run

KERNEL_PATH, INITRD_PATH = "boot/vmlinuz", "boot/initrd.img"
TREEINFO = f"""[general]
arch = x86_64
[images-x86_64]
kernel = {KERNEL_PATH}
initrd = {INITRD_PATH}
"""
BOOT = Path("/var/lib/shctl/boot")
FROM_DISK = "Here is the disk"
SAY = "The installer says hello"


class Trees:
    """Trees on the test's own server; they need no kernel arguments."""

    def __init__(self, server: TreeServer) -> None:
        self.server = server

    def add(self, name: str, image: bytes, initrd: bytes = INITRD) -> str:
        """Serve a kernel and an initrd; return the tree's location."""
        directory = f"/{name}/"
        self.server.files[f"{directory}.treeinfo"] = TREEINFO.encode()
        self.server.files[directory + KERNEL_PATH] = image
        self.server.files[directory + INITRD_PATH] = initrd
        return self.server.url + directory

    def of(self, end: End, *, after: float = 0, show_cmdline: bool = False) -> str:
        """Serve an installer that says a line and ends; return the tree's location."""
        name = end.name.lower()
        image = kernel(
            SAY, end, after=after, show_cmdline=show_cmdline, installs=boot_sector(FROM_DISK)
        )
        return self.add(name, image)


@contextmanager
def serving() -> Iterator[Trees]:
    with treeserver.running() as server:
        yield Trees(server)


def arguments(name: str, location: str, *more: str) -> list[str]:
    """Return the arguments that create a host with an installation."""
    words = f"hosts create {name} --memory 64 --disk 1 --network vlan10 --install --location"
    return [*words.split(), location, *more]


def begin(name: str, location: str, *more: str) -> None:
    """Create a host with an installation from a tree; once installed, its disk prints a line."""
    ok(*arguments(name, location, *more))


def install_of(name: str) -> Any:
    """Return a host's installation from `hosts show`, which also advances it."""
    return json.loads(ok("-o", "json", "hosts", "show", name))["install"]


def log_of(name: str) -> str:
    return (LOGS / f"{name}.log").read_text(errors="replace")


def boots_from_disk(name: str) -> int:
    return log_of(name).count(FROM_DISK)


def starts(name: str) -> int:
    """Return how often libvirt has started a QEMU for the host, by that QEMU's log."""
    return len(re.findall(": starting up libvirt", qemu_log(name)))


def qemu_log(name: str) -> str:
    return Path(f"/var/log/libvirt/qemu/{name}.log").read_text()


def wait_until_off(name: str) -> None:
    eventually(lambda: not virsh_state(name).startswith(("running", "in shutdown", "paused")))


def virsh(*arguments: str) -> str:
    argv = ["virsh", "-q", "-c", "qemu:///system", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def virsh_state(name: str) -> str:
    return virsh("domstate", name).strip()


def failure(name: str, code: int = 7) -> str:
    """Wait for an installation that must fail; return the error."""
    done = run("hosts", "wait", name, "--for", "installed", "--timeout", "30")
    assert done.code == code, done
    assert one_line(done)
    assert install_of(name)["phase"] == "failed"
    return done.err


def one_line(done: Done) -> bool:
    return done.out == "" and done.err.startswith("shctl: ") and done.err.count("\n") == 1


def delete(*names: str) -> None:
    ok("hosts", "delete", "--yes", *names)


def run_with_umask(umask: int, *arguments: str) -> Done:
    done = subprocess.run(
        [*SHCTL, *arguments], env=environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False, umask=umask,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)
