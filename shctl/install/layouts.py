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

_RELEASE = re.compile(r"v?([0-9]{1,9}(?:\.[0-9]{1,9}){1,4})")

# Architectures whose kernels boot on an x86_64 host, preferred one first.
BOOTABLE = ("x86_64", "i386")
D_I, U_I = "debian-installer", "ubuntu-installer"
DEBIAN_NAMES = {"x86_64": "amd64", "i386": "i386"}


@dataclass(frozen=True)
class Layout:
    """A layout: pairs of kernel and initrd, relative to the tree, if `marker` contains `pattern`.

    `system` is the installer's name in SYSTEMS. Without a marker, the layout applies if a pair
    exists. {deb} and {rpm} are Debian's and the RPM distributions' names of the architecture,
    {release} is in the tree's URL. Paths in the checksum file `sums` are relative to its directory;
    Debian's checksum files are found by the kernel's path instead.
    """

    kind: str
    system: str
    pairs: tuple[tuple[str, str], ...]
    marker: str = ""
    pattern: str = ""
    sums: str = ""


def _debian(flavour: str, directory: str) -> Layout:
    netboot = f"{directory}netboot/{flavour}-installer/{{deb}}"
    pair = (f"{netboot}/linux", f"{netboot}/initrd.gz")
    system = U_I if flavour == "ubuntu" else D_I
    return Layout(flavour, system, (pair,), f"{directory}MANIFEST", f"(?i){flavour}")


def _exported(flavour: str, system: str, pairs: tuple[tuple[str, str], ...]) -> Layout:
    """Return the layout of a served installation image."""
    return Layout(flavour, system, pairs, ".disk/info", f"^{flavour.capitalize()}", "md5sum.txt")


def _netboot(flavour: str) -> tuple[tuple[str, str]]:
    directory = f"install/netboot/{flavour}-installer/{{deb}}"
    return ((f"{directory}/linux", f"{directory}/initrd.gz"),)


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

CASPER_PAIRS = (
    ("casper/vmlinuz", "casper/initrd"),
    ("casper/vmlinuz", "casper/initrd.gz"),
    ("casper/vmlinuz", "casper/initrd.lz"),
)
# Flavours of Alpine's kernel, the usual one first.
ALPINE_PAIRS = tuple(
    (f"{directory}vmlinuz-{flavour}", f"{directory}initramfs-{flavour}")
    for directory in ("releases/{rpm}/netboot/", "{rpm}/netboot/", "netboot/", "")
    for flavour in ("lts", "virt")
)

LAYOUTS = (
    # Ubuntu first: its manifests may also mention Debian.
    *(_debian(flavour, images) for images in IMAGES for flavour in ("ubuntu", "debian")),
    _exported("ubuntu", U_I, _netboot("ubuntu")),
    _exported("ubuntu", "subiquity", CASPER_PAIRS),
    _exported("debian", D_I, _netboot("debian")),
    Layout("suse", "yast", SUSE_PAIRS, "content", "(?i)suse", "content"),
    Layout(
        "mageia",
        "mageia",
        (("isolinux/{rpm}/vmlinuz", "isolinux/{rpm}/all.rdz"),),
        "VERSION",
        "^Mageia ",
    ),
    Layout("fedora", "anaconda", (("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"),)),
    Layout("suse", "yast", SUSE_PAIRS, sums="CHECKSUMS"),
    Layout(
        "debian",
        D_I,
        (
            ("netboot/debian-installer/{deb}/linux", "netboot/debian-installer/{deb}/initrd.gz"),
            ("debian-installer/{deb}/linux", "debian-installer/{deb}/initrd.gz"),
        ),
    ),
    Layout("ubuntu", U_I, (("ubuntu-installer/{deb}/linux", "ubuntu-installer/{deb}/initrd.gz"),)),
    # Ubuntu since 22.04: relative to the release's directory, then to netboot/.
    Layout(
        "ubuntu",
        "subiquity",
        (("netboot/{deb}/linux", "netboot/{deb}/initrd"), ("{deb}/linux", "{deb}/initrd")),
    ),
    Layout("alpine", "alpine", ALPINE_PAIRS),
    Layout(
        "arch",
        "archiso",
        (
            ("arch/boot/{rpm}/vmlinuz-linux", "arch/boot/{rpm}/initramfs-linux.img"),
            ("boot/{rpm}/vmlinuz-linux", "boot/{rpm}/initramfs-linux.img"),
        ),
    ),
    Layout(
        "coreos",
        "coreos",
        (
            ("rhcos-live-kernel.{rpm}", "rhcos-live-initramfs.{rpm}.img"),
            # Of one build, whose directory has its name: .../builds/42.20260101.3.0/x86_64/.
            (
                "fedora-coreos-{release}-live-kernel.{rpm}",
                "fedora-coreos-{release}-live-initramfs.{rpm}.img",
            ),
        ),
    ),
    Layout(
        "flatcar",
        "flatcar",
        (("flatcar_production_pxe.vmlinuz", "flatcar_production_pxe_image.cpio.gz"),),
    ),
    # The netboot directory itself, of Debian or of Ubuntu: before 22.04, and since.
    Layout("netboot", U_I, (("linux", "initrd.gz"),)),
    Layout("netboot", "subiquity", (("linux", "initrd"),)),
)


def find_archs(lines: Iterable[str]) -> set[str]:
    """Return the architectures that lines, of a marker or a URL's path, mention."""
    return {ARCHS[word] for line in lines for word in _ARCH_NAME.findall(line)}


def is_marked(layout: Layout, lines: Iterable[str]) -> bool:
    """Return whether the lines of a layout's marker contain its pattern."""
    # Line by line: a regular expression holds the GIL while it searches, and delays the server.
    return any(re.search(layout.pattern, line) for line in lines)


def fill(path: str, arch: str, release: str | None) -> str:
    """Return a path of a layout for an architecture and a release."""
    return path.format(deb=DEBIAN_NAMES[arch], rpm=arch, release=release or "0")


def find_release(path: str) -> str | None:
    """Return the last part of a URL's path that is a release, such as 24.04 or v3.22."""
    found = [match[1] for part in path.split("/") if (match := _RELEASE.fullmatch(part))]
    return found[-1] if found else None


def is_arch_in(pair: tuple[str, str]) -> bool:
    """Return whether the paths of a pair contain the architecture."""
    return "{" in pair[0]
