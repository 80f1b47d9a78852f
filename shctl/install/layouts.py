"""A table of the layouts of installation trees, the most specific ones first."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Names of architectures in trees, and shctl's. BOOTABLE lists those that hosts can boot.
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

_ARCH_NAME = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(ARCHS)})(?![A-Za-z0-9])")

# Architectures whose kernels boot on an x86_64 host, preferred one first.
BOOTABLE = ("x86_64", "i386")
DEBIAN_NAMES = {"x86_64": "amd64", "i386": "i386"}


@dataclass(frozen=True)
class Layout:
    """A layout: pairs of kernel and initrd, relative to the tree, if `marker` contains `pattern`.

    Without a marker, the layout applies if a pair exists. {deb} and {rpm} are Debian's and the RPM
    distributions' names of the architecture. Paths in the checksum file `sums` are relative to its
    directory; Debian's checksum files are found by the kernel's path instead.
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
    """Return the layout of a served installation image."""
    netboot = f"install/netboot/{flavour}-installer/{{deb}}"
    pairs = (
        (f"{netboot}/linux", f"{netboot}/initrd.gz"),
        ("casper/vmlinuz", "casper/initrd"),
        ("casper/vmlinuz", "casper/initrd.gz"),
        ("casper/vmlinuz", "casper/initrd.lz"),
    )
    return Layout(flavour, pairs, ".disk/info", f"^{flavour.capitalize()}", "md5sum.txt")


# Directories of the images, relative to the installer's directory, then to the suite's. A suite has
# an installer for each architecture; hosts are x86_64.
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
    # Ubuntu first: its manifests may also mention Debian.
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
    # Ubuntu since 22.04: relative to the release's directory, then to netboot/.
    Layout(
        "ubuntu",
        (("netboot/{deb}/linux", "netboot/{deb}/initrd"), ("{deb}/linux", "{deb}/initrd")),
    ),
    # The netboot directory itself; the second pair is Ubuntu's since 22.04.
    Layout("netboot", (("linux", "initrd.gz"), ("linux", "initrd"))),
)


def find_archs(lines: Iterable[str]) -> set[str]:
    """Return the architectures that lines, of a marker or a URL's path, mention."""
    return {ARCHS[word] for line in lines for word in _ARCH_NAME.findall(line)}


def is_marked(layout: Layout, lines: Iterable[str]) -> bool:
    """Return whether the lines of a layout's marker contain its pattern."""
    # Line by line: a regular expression holds the GIL while it searches, and delays the server.
    return any(re.search(layout.pattern, line) for line in lines)


def fill(path: str, arch: str) -> str:
    """Return a path of a layout for an architecture."""
    return path.format(deb=DEBIAN_NAMES[arch], rpm=arch)


def is_arch_in(pair: tuple[str, str]) -> bool:
    """Return whether the paths of a pair contain the architecture."""
    return "{" in pair[0]
