"""How distributions lay out their installation trees: one table, most telling rows first."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# The words for an architecture, and what the tree's hosts are told. None of the others boots here.
ARCHS = {
    "amd64": "x86_64",
    "x86_64": "x86_64",
    "i386": "i386",
    "i486": "i386",
    "i586": "i386",
    "i686": "i386",
    "arm64": "arm64",
    "aarch64": "arm64",
    "armhf": "armhf",
    "ppc64": "ppc64",
    "ppc64el": "ppc64le",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}

_ARCH_WORD = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(ARCHS)})(?![A-Za-z0-9])")

# Architectures whose kernels an x86_64 host boots, preferred first: i386 guests run on x86_64.
BOOTABLE = ("x86_64", "i386")
DEBIAN_NAMES = {"x86_64": "amd64", "i386": "i386"}


@dataclass(frozen=True)
class Layout:
    """A row: where kernel and initrd are, relative to the tree, when marker holds pattern.

    Without a marker the pair itself is the sign. {deb} and {rpm} stand for the architecture in
    Debian's and the others' words. The paths in the file sums are relative to its directory;
    Debian's images have theirs in a place that follows from the kernel's.
    """

    kind: str
    pairs: tuple[tuple[str, str], ...]
    marker: str = ""
    pattern: str = ""
    sums: str = ""


def _debian(flavour: str, directory: str) -> Layout:
    netboot = f"{directory}netboot/{flavour}-installer/{{deb}}"
    pair = (f"{netboot}/linux", f"{netboot}/initrd.gz")
    return Layout(flavour, (pair,), f"{directory}MANIFEST", f"(?i){flavour}")


def _exported(flavour: str) -> Layout:
    """Return the row of an installation image whose files are served."""
    netboot = f"install/netboot/{flavour}-installer/{{deb}}"
    pairs = (
        (f"{netboot}/linux", f"{netboot}/initrd.gz"),
        ("casper/vmlinuz", "casper/initrd"),
        ("casper/vmlinuz", "casper/initrd.gz"),
        ("casper/vmlinuz", "casper/initrd.lz"),
    )
    return Layout(flavour, pairs, ".disk/info", f"^{flavour.capitalize()}", "md5sum.txt")


# From the installer's directory down to the images, then from the suite's down. A suite has one
# installer for each architecture: hosts are x86_64, so that is the one to look for.
IMAGES = (
    "current/images/",
    "current/legacy-images/",
    "daily/",
    "images/",
    "legacy-images/",
    "",
    "main/installer-amd64/current/images/",
    "main/installer-amd64/current/legacy-images/",
)
SUSE_PAIRS = (
    ("boot/{rpm}/loader/linux", "boot/{rpm}/loader/initrd"),
    ("boot/{rpm}/linux", "boot/{rpm}/initrd"),
)

LAYOUTS = (
    # Ubuntu first: its manifests may also speak of Debian.
    *(_debian(flavour, images) for images in IMAGES for flavour in ("ubuntu", "debian")),
    _exported("ubuntu"),
    _exported("debian"),
    Layout("suse", SUSE_PAIRS, "content", "(?i)suse", "content"),
    Layout(
        "mageia",
        (("isolinux/{rpm}/vmlinuz", "isolinux/{rpm}/all.rdz"),),
        "VERSION",
        "^Mageia ",
    ),
    Layout("fedora", (("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"),)),
    Layout("suse", SUSE_PAIRS, sums="CHECKSUMS"),
    Layout(
        "debian",
        (
            ("netboot/debian-installer/{deb}/linux", "netboot/debian-installer/{deb}/initrd.gz"),
            ("debian-installer/{deb}/linux", "debian-installer/{deb}/initrd.gz"),
        ),
    ),
    Layout("ubuntu", (("ubuntu-installer/{deb}/linux", "ubuntu-installer/{deb}/initrd.gz"),)),
    # Ubuntu's since 22.04: from the release's directory down, then from netboot's.
    Layout(
        "ubuntu",
        (("netboot/{deb}/linux", "netboot/{deb}/initrd"), ("{deb}/linux", "{deb}/initrd")),
    ),
    # The netboot directory itself; the second is Ubuntu's since 22.04.
    Layout("netboot", (("linux", "initrd.gz"), ("linux", "initrd"))),
)


def find_archs(lines: Iterable[str]) -> set[str]:
    """Return the architectures that lines (of a marker, a URL's path) speak of."""
    return {ARCHS[word] for line in lines for word in _ARCH_WORD.findall(line)}


def is_marked(layout: Layout, lines: Iterable[str]) -> bool:
    """Tell whether the lines of a layout's marker hold its pattern."""
    # Line by line: a search holds the interpreter for as long as it takes.
    return any(re.search(layout.pattern, line) for line in lines)


def fill(path: str, arch: str) -> str:
    """Return a path of the table for an architecture."""
    return path.format(deb=DEBIAN_NAMES[arch], rpm=arch)


def is_arch_in(pair: tuple[str, str]) -> bool:
    """Tell whether the paths of a pair name the architecture."""
    return "{" in pair[0]
