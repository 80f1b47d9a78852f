"""Rows of creations: blank, and from a local tree."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clock import Run, Work, alternate, call, peak, process, ratio, wait_for, wall
from benchmarks.rack import NETWORK, SHCTL, VIRT_TYPE, Rack
from benchmarks.table import Row, ms, times
from shctl.common import paths

_PORT = 8000
# Where Debian's mirrors have the installer that its package unpacks.
_TREE = "debian/dists/stable/main/installer-amd64"
_NETBOOT = "netboot/debian-installer/amd64"
_FILES = ("linux", "initrd.gz")
_HARDWARE = ("--memory", "128", "--disk", "1", "--network", NETWORK, "--virt-type", VIRT_TYPE)
_VIRT_INSTALL = (
    "virt-install", "--memory", "128", "--network", f"network={NETWORK},model=virtio",
    "--virt-type", VIRT_TYPE, "--machine", "q35", "--controller", "scsi,model=virtio-scsi",
    "--graphics", "vnc", "--rng", "/dev/urandom", "--osinfo", "generic", "--noautoconsole",
)  # fmt: skip


class Series:
    """Makes one host after the other, each under a name of its own, and removes it untimed."""

    def __init__(self, rack: Rack, prefix: str, make: Callable[[str], Run]) -> None:
        self._rack, self._prefix, self._make = rack, prefix, make
        self._made = 0

    def __call__(self) -> Run:
        """Make the next host."""
        self._made += 1
        name = f"{self._prefix}{self._made}"
        run = self._make(name)
        self._rack.remove(name)
        return run


def _shctl(*options: str) -> Callable[[str], Run]:
    return lambda name: process(SHCTL, "hosts", "create", name, *_HARDWARE, *options)


def _virt_install(*options: str) -> Callable[[str], Run]:
    def make(name: str) -> Run:
        disk = f"/var/lib/libvirt/images/{name}.img,size=1,bus=scsi,sparse=yes,format=raw"
        return process(*_VIRT_INSTALL, "--name", name, "--disk", disk, *options)

    return make


def bare(rack: Rack, name: str) -> None:
    """Create and start a host by libvirt's calls alone."""
    rack.bare.defineXML(rack.xml(name)).create()


def rows(rack: Rack) -> list[Row]:
    """Measure creations on an otherwise empty hypervisor."""
    return [_blank(rack), *_installed(rack)]


def _blank(rack: Rack) -> Row:
    works: dict[str, Work] = {
        "shctl": Series(rack, "own", _shctl("--start")),
        "virt-install": Series(rack, "other", _virt_install("--import")),
        "bare": Series(rack, "bare", lambda name: call(partial(bare, rack, name))),
    }
    runs = alternate(works)
    found = ratio(runs["shctl"], runs["virt-install"])
    return Row(
        "create and start a blank host", ms(wall(runs["shctl"])),
        f"virt-install --import {ms(wall(runs['virt-install']))}", ms(wall(runs["bare"])),
        times(found), "at most 0.85 times virt-install", found <= 0.85, peak(runs["shctl"]),
    )  # fmt: skip


def _installed(rack: Rack) -> list[Row]:
    files = next(Path("/usr/lib/debian-installer/images").glob("*/amd64/text"), None)
    if files is None:
        return [_missing("first", 0.6), _missing("second", 0.45)]
    with TemporaryDirectory() as mirror, _served(Path(mirror)) as url:
        _lay_out(files / "debian-installer/amd64", Path(mirror, _TREE, "current/images"))
        location = f"{url}{_TREE}/"
        install = _shctl("--install", "--location", location, "--force-memory")
        works: dict[str, Work] = {
            "first": Series(rack, "first", lambda name: _uncached(install, name)),
            "second": Series(rack, "second", install),
            "virt-install": Series(rack, "other", _virt_install("--location", location)),
        }
        runs = alternate(works)
    return [_compare("first", runs, 0.6), _compare("second", runs, 0.45)]


def _lay_out(files: Path, images: Path) -> None:
    """Make the part of a mirror that an installation reads, with its checksums."""
    netboot = images / _NETBOOT
    netboot.mkdir(parents=True)
    sums = []
    for name in _FILES:
        (netboot / name).symlink_to(files / name)
        digest = sha256((files / name).read_bytes()).hexdigest()
        sums.append(f"{digest}  ./{_NETBOOT}/{name}\n")
    (images / "SHA256SUMS").write_text("".join(sums))
    (images / "MANIFEST").write_text(
        "".join(f"{_NETBOOT}/{name} -- network installer for Debian\n" for name in _FILES)
    )


@contextmanager
def _served(directory: Path) -> Iterator[str]:
    """Serve a directory as a mirror would, from a process of its own; yield its URL."""
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory"]
    server = subprocess.Popen(
        [*argv, str(directory), str(_PORT)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: socket.create_connection(("127.0.0.1", _PORT)).close())
        yield f"http://127.0.0.1:{_PORT}/"
    finally:
        server.kill()
        server.wait()


def _uncached(install: Callable[[str], Run], name: str) -> Run:
    shutil.rmtree(paths.tree_cache(), ignore_errors=True)
    return install(name)


def _compare(which: str, runs: dict[str, list[Run]], limit: float) -> Row:
    found = ratio(runs[which], runs["virt-install"])
    return Row(
        _work(which), ms(wall(runs[which])), f"virt-install {ms(wall(runs['virt-install']))}", "",
        times(found), _goal(limit), found <= limit, peak(runs[which]),
    )  # fmt: skip


def _missing(which: str, limit: float) -> Row:
    why = "no debian-installer-*-netboot-amd64 is installed"
    return Row(_work(which), "", why, "", "", _goal(limit), None)


def _work(which: str) -> str:
    return f"create with installation from a local mirror, {which} host"


def _goal(limit: float) -> str:
    return f"at most {limit} times virt-install"
