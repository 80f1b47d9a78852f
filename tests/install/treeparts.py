"""The files of installation trees, reduced to what distinguishes one tree from another."""

import hashlib
from dataclasses import dataclass, field

from tests.install.treeserver import INITRD, KERNEL


@dataclass(frozen=True)
class Case:
    """Files below a prefix, their location, and the expected result.

    Kernel None means that the tree must be refused with the text in `refusal`. {root} in
    `arguments` is the URL of the server's directory with all files.
    """

    name: str
    path: str
    files: dict[str, bytes] = field(repr=False)
    kind: str = ""
    kernel: str | None = None
    initrd: str = ""
    arch: str = "x86_64"
    argument: str = ""
    arguments: tuple[str, ...] = ()
    system: str = ""
    sums: str = ""
    refusal: str = ""


def treeinfo(family: str, kernel: str, initrd: str, arch: str = "x86_64", more: str = "") -> bytes:
    return (
        f"[header]\ntype = productmd.treeinfo\n[general]\nfamily = {family}\n"
        f"name = {family}\narch = {arch}\n{more}\n"
        f"[images-{arch}]\nkernel = {kernel}\ninitrd = {initrd}\n"
        f"[images-xen]\nkernel = xen/k\ninitrd = xen/i\n"
        f"[checksums]\n{kernel} = sha256:{hashlib.sha256(KERNEL).hexdigest()}\n"
    ).encode()


def pair(kernel: str, initrd: str) -> dict[str, bytes]:
    return {kernel: KERNEL, initrd: INITRD}


PXEBOOT = ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img")
LOADER = ("boot/x86_64/loader/linux", "boot/x86_64/loader/initrd")


def netboot(flavour: str, arch: str = "amd64") -> tuple[str, str]:
    directory = f"netboot/{flavour}-installer/{arch}"
    return f"{directory}/linux", f"{directory}/initrd.gz"


def images(top: str, flavour: str, arch: str = "amd64") -> dict[str, bytes]:
    """Return an images directory of Debian's or Ubuntu's installer."""
    kernel, initrd = netboot(flavour, arch)
    manifest = "".join(f"{name} -- of the network installer\n" for name in (kernel, initrd))
    sums = f"{hashlib.sha256(KERNEL).hexdigest()}  ./{kernel}\n"
    return {
        f"{top}MANIFEST": manifest.encode(),
        f"{top}SHA256SUMS": sums.encode(),
        **{top + name: content for name, content in pair(kernel, initrd).items()},
    }
