"""Find what an installer loads besides kernel and initrd: an ISO, a live image, a modloop."""

import re
from urllib.parse import urlsplit

from shctl.install import text_files
from shctl.install.checksums import parse_sums
from shctl.install.http.urls import join
from shctl.install.probe import Probe
from shctl.install.systems import System

# Where it is: by the installer, the part of the initrd's path that differs, and what it is there.
_BY_INITRD = {"alpine": ("initramfs", "modloop"), "coreos": ("initramfs", "rootfs")}
LIVE_IMAGE = "LiveOS/squashfs.img"
_ISO = re.compile(r"ubuntu-([0-9]{2}\.[0-9]{2}(?:\.[0-9]{1,2})?)-live-server-amd64\.iso")
_LEVELS = 2  # above the tree: netboot/amd64 is two levels below the release with its ISOs


def find(search: Probe, system: System, initrd: str) -> str | None:
    """Return the URL of what a tree's installer loads; None if it loads nothing, or it is missing.

    The URL has the password of the location, if that has one.
    """
    # A guest cannot reach a directory of this machine.
    if not system.medium or urlsplit(search.base).scheme == "file":
        return None
    if system.name == "subiquity":
        return _find_iso(search)
    path = LIVE_IMAGE
    if system.name in _BY_INITRD:
        directory, slash, name = initrd.rpartition("/")
        path = directory + slash + name.replace(*_BY_INITRD[system.name], 1)
    return join(search.base, path) if search.exists(path) else None


def _find_iso(search: Probe) -> str | None:
    """Return the newest ISO of Ubuntu's server that a list of checksums in or above the tree has.

    Directories have no other list that is the same on every mirror.
    """
    base = search.base
    # Each level once, from the tree upwards; a mirror may have the ISO next to the kernel.
    for _ in range(_LEVELS + 1):
        lines = search.lines(join(base, "SHA256SUMS"), text_files.MAX_CHECKSUM_LINES) or []
        found = [match for name, _ in parse_sums(lines) if (match := _ISO.fullmatch(name))]
        if found:
            newest = max(found, key=lambda match: [int(part) for part in match[1].split(".")])
            return join(base, newest[0])
        base = base.rstrip("/").rpartition("/")[0] + "/"
        if not urlsplit(base).netloc:
            break
    return None
