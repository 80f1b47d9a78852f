"""Installation trees with the layouts of distributions, and the expected results."""

import hashlib

from tests.install.treeparts import LOADER, PXEBOOT, Case, images, netboot, pair, treeinfo
from tests.install.treeserver import INITRD, KERNEL

DEBIAN = images("dists/bookworm/main/installer-amd64/current/images/", "debian")
FOCAL = images("dists/focal/main/installer-amd64/current/legacy-images/", "ubuntu")
XENIAL = images("ubuntu/dists/xenial/main/installer-amd64/current/images/", "ubuntu")
INSTALLER = "dists/bookworm/main/installer-amd64"
SUSE_CONTENT = (
    "CONTENTSTYLE 11\nLABEL openSUSE 12.3\nDISTRO cpe:/o:opensuse:opensuse:12.3,openSUSE\n"
    f"BASEARCHS x86_64\nHASH SHA256 {hashlib.sha256(KERNEL).hexdigest()}  {LOADER[0]}\n"
).encode()
DISK_INFO = b'Ubuntu-Server 22.04.3 LTS "Jammy Jellyfish" - Release amd64 (20230810)'
CASPER = (
    "root=/dev/ram0", "ramdisk_size=1500000", "cloud-config-url=/dev/null", "ip=dhcp",
    "url={root}/24.04/ubuntu-24.04.10-live-server-amd64.iso",
)  # fmt: skip
UBUNTU = {
    "24.04/netboot/amd64/linux": KERNEL,
    "24.04/netboot/amd64/initrd": INITRD,
    "24.04/SHA256SUMS": "".join(
        f"{'0' * 64} *ubuntu-24.04{name}-amd64.iso\n"
        for name in (".2-live-server", ".10-live-server", ".3-desktop", "-live-server")
    ).encode(),
}
ALPINE = {**pair("vmlinuz-lts", "initramfs-lts"), "modloop-lts": b"hsqs"}
COREOS = {
    f"fedora-coreos-42.20260101.3.0-live-{name}": content
    for name, content in (
        ("kernel.x86_64", KERNEL), ("initramfs.x86_64.img", INITRD), ("rootfs.x86_64.img", b"x"),
    )
}  # fmt: skip


def ubuntu(name: str, path: str, top: str, kind: str) -> Case:
    return Case(
        name, path, UBUNTU, kind, f"{top}linux", f"{top}initrd", arguments=CASPER,
        system="subiquity",
    )  # fmt: skip


def rhel(name: str, family: str, path: str = "/os", more: str = "version = 9.3") -> Case:
    files = {f"os/{file}": content for file, content in pair(*PXEBOOT).items()}
    files["os/.treeinfo"] = treeinfo(family, *PXEBOOT, more=more)
    return Case(name, path, files, "rhel", *PXEBOOT, argument="inst.repo", sums="sha256")


def debian(
    name: str, path: str, top: str, files: dict[str, bytes], flavour: str = "debian"
) -> Case:
    kernel, initrd = (top + file for file in netboot(flavour))
    system = f"{flavour}-installer"
    return Case(name, path, files, flavour, kernel, initrd, system=system, sums="sha256")


CASES = (
    Case(
        "Fedora, .treeinfo",
        "/os",
        {f"os/{k}": v for k, v in pair(*PXEBOOT).items()}
        | {"os/.treeinfo": treeinfo("Fedora", *PXEBOOT, more="version = 39")},
        "fedora",
        *PXEBOOT,
        argument="inst.repo",
        sums="sha256",
    ),
    rhel("RHEL 9", "Red Hat Enterprise Linux"),
    rhel("CentOS Stream, slash", "CentOS Stream", "/os/"),
    rhel("AlmaLinux", "AlmaLinux"),
    rhel("Rocky Linux", "Rocky Linux"),
    Case(
        "RHEL 6: method=",
        "",
        pair(*PXEBOOT)
        | {".treeinfo": treeinfo("Red Hat Enterprise Linux", *PXEBOOT, more="version = 6.10")},
        "rhel",
        *PXEBOOT,
        argument="method",
        sums="sha256",
    ),
    Case(
        "treeinfo without the dot",
        "",
        pair(*PXEBOOT)
        | {"treeinfo": treeinfo("Red Hat Enterprise Linux", *PXEBOOT, more="version = 8.9")},
        "rhel",
        *PXEBOOT,
        argument="inst.repo",
        sums="sha256",
    ),
    Case(
        "unknown family",
        "",
        pair("k", "i") | {".treeinfo": treeinfo("Homegrown", "k", "i")},
        "treeinfo",
        "k",
        "i",
        sums="sha256",
    ),
    Case(
        "Fedora, pxeboot only",
        "/x86_64/os",
        {f"x86_64/os/{k}": v for k, v in pair(*PXEBOOT).items()},
        "fedora",
        *PXEBOOT,
        argument="inst.repo",
    ),
    debian("Debian, installer", f"/{INSTALLER}", "current/images/", DEBIAN),
    debian("Debian, slash", f"/{INSTALLER}/", "current/images/", DEBIAN),
    debian("Debian, current", f"/{INSTALLER}/current", "images/", DEBIAN),
    debian("Debian, images", f"/{INSTALLER}/current/images/", "", DEBIAN),
    debian("Debian, suite", "/dists/bookworm", "main/installer-amd64/current/images/", DEBIAN),
    Case(
        "Debian, netboot directory",
        f"/{INSTALLER}/current/images/netboot/debian-installer/amd64",
        DEBIAN,
        "netboot",
        "linux",
        "initrd.gz",
        system="debian-installer",
        sums="sha256",
    ),
    Case(
        "Debian, netboot package",
        "/images/12/amd64/text",
        {
            f"images/12/amd64/text/debian-installer/amd64/{k}": v
            for k, v in pair("linux", "initrd.gz").items()
        },
        "debian",
        "debian-installer/amd64/linux",
        "debian-installer/amd64/initrd.gz",
    ),
    debian(
        "Debian, daily",
        "/daily-images/amd64",
        "daily/",
        images("daily-images/amd64/daily/", "debian"),
    ),
    debian(
        "Debian, URL without arch",
        "/d-i",
        "current/images/",
        images("d-i/current/images/", "debian"),
    ),
    Case(
        "Debian i386",
        "/dists/buster/main/installer-i386",
        images("dists/buster/main/installer-i386/current/images/", "debian", "i386"),
        "debian",
        "current/images/netboot/debian-installer/i386/linux",
        "current/images/netboot/debian-installer/i386/initrd.gz",
        arch="i386",
        sums="sha256",
    ),
    debian(
        "Ubuntu 16.04, installer",
        "/ubuntu/dists/xenial/main/installer-amd64",
        "current/images/",
        XENIAL,
        "ubuntu",
    ),
    debian(
        "Ubuntu 20.04, legacy images",
        "/dists/focal/main/installer-amd64/",
        "current/legacy-images/",
        FOCAL,
        "ubuntu",
    ),
    debian(
        "Ubuntu 20.04, suite",
        "/dists/focal/",
        "main/installer-amd64/current/legacy-images/",
        FOCAL,
        "ubuntu",
    ),
    # https://releases.ubuntu.com/24.04/: the ISO is two levels above the kernel.
    ubuntu("Ubuntu 24.04, netboot/amd64", "/24.04/netboot/amd64", "", "netboot"),
    ubuntu("Ubuntu 24.04, netboot", "/24.04/netboot/", "amd64/", "ubuntu"),
    ubuntu("Ubuntu 24.04", "/24.04", "netboot/amd64/", "ubuntu"),
    Case(
        "Ubuntu, netboot without an ISO",
        "/noble/netboot/amd64",
        {f"noble/netboot/amd64/{k}": v for k, v in pair("linux", "initrd").items()},
        "netboot",
        "linux",
        "initrd",
        arguments=CASPER[:-1],
        system="subiquity",
    ),
    Case(
        "Ubuntu, served live image",
        "",
        pair("casper/vmlinuz", "casper/initrd")
        | {
            ".disk/info": DISK_INFO,
            "md5sum.txt": f"{hashlib.md5(KERNEL).hexdigest()}  ./casper/vmlinuz\n".encode(),
        },
        "ubuntu",
        "casper/vmlinuz",
        "casper/initrd",
        arguments=CASPER[:-1],
        system="subiquity",
        sums="md5",
    ),
    Case(
        "Ubuntu 18.04, served image",
        "/amd64",
        {f"amd64/install/{k}": v for k, v in pair(*netboot("ubuntu")).items()}
        | {"amd64/.disk/info": b'Ubuntu-Server 18.04.6 LTS "Bionic Beaver" - Release amd64'},
        "ubuntu",
        "install/netboot/ubuntu-installer/amd64/linux",
        "install/netboot/ubuntu-installer/amd64/initrd.gz",
    ),
    Case(
        "openSUSE Leap, .treeinfo",
        "",
        pair(*LOADER) | {".treeinfo": treeinfo("openSUSE Leap", *LOADER, more="version = 15.5")},
        "suse",
        *LOADER,
        argument="install",
        sums="sha256",
    ),
    Case(
        "openSUSE, content",
        "",
        pair(*LOADER) | {"content": SUSE_CONTENT},
        "suse",
        *LOADER,
        argument="install",
        sums="sha256",
    ),
    Case(
        "SLES 15, neither file",
        "",
        pair(*LOADER)
        | {"CHECKSUMS": f"{hashlib.sha256(KERNEL).hexdigest()}  {LOADER[0]}\n".encode()},
        "suse",
        *LOADER,
        argument="install",
        sums="sha256",
    ),
    Case(
        "Mageia",
        "/9/x86_64",
        {
            f"9/x86_64/{k}": v
            for k, v in pair("isolinux/x86_64/vmlinuz", "isolinux/x86_64/all.rdz").items()
        }
        | {"9/x86_64/VERSION": b"Mageia 9 Devel-9-x86_64-Download 20230819 14:00\n"},
        "mageia",
        "isolinux/x86_64/vmlinuz",
        "isolinux/x86_64/all.rdz",
    ),
    # Leap 16: https://agama-project.github.io/docs/user/boot_options.
    Case(
        "openSUSE Leap 16, .treeinfo",
        "/distribution/leap/16.0/repo/oss",
        {f"distribution/leap/16.0/repo/oss/{k}": v for k, v in pair(*LOADER).items()}
        | {
            "distribution/leap/16.0/repo/oss/.treeinfo": treeinfo(
                "openSUSE Leap", *LOADER, more="version = 16.0"
            ),
            "distribution/leap/16.0/repo/oss/LiveOS/squashfs.img": b"hsqs",
        },
        "suse",
        *LOADER,
        arguments=(
            "root=live:{root}/distribution/leap/16.0/repo/oss/LiveOS/squashfs.img",
            "ip=dhcp",
            "rd.neednet=1",
        ),
        system="agama",
        sums="sha256",
    ),
    Case(
        "openSUSE Tumbleweed, live image",
        "",
        pair(*LOADER) | {"LiveOS/squashfs.img": b"hsqs"},
        "suse",
        *LOADER,
        arguments=("root=live:{root}/LiveOS/squashfs.img", "ip=dhcp", "rd.neednet=1"),
        system="agama",
    ),
    # https://wiki.alpinelinux.org/wiki/PXE_boot
    Case(
        "Alpine",
        "/alpine/v3.22",
        {f"alpine/v3.22/releases/x86_64/netboot/{k}": v for k, v in ALPINE.items()},
        "alpine",
        "releases/x86_64/netboot/vmlinuz-lts",
        "releases/x86_64/netboot/initramfs-lts",
        arguments=(
            "ip=dhcp",
            "alpine_repo={root}/alpine/v3.22/main",
            "modloop={root}/alpine/v3.22/releases/x86_64/netboot/modloop-lts",
            "modules=loop,squashfs",
        ),
        system="alpine",
    ),
    # https://wiki.archlinux.org/title/Preboot_Execution_Environment
    Case(
        "Arch, image",
        "/iso/2026.11.01",
        {
            f"iso/2026.11.01/arch/boot/x86_64/{k}": v
            for k, v in pair("vmlinuz-linux", "initramfs-linux.img").items()
        },
        "arch",
        "arch/boot/x86_64/vmlinuz-linux",
        "arch/boot/x86_64/initramfs-linux.img",
        arguments=("archisobasedir=arch", "archiso_http_srv={root}/iso/2026.11.01/", "ip=dhcp"),
        system="archiso",
    ),
    # https://docs.fedoraproject.org/en-US/fedora-coreos/live-booting/
    Case(
        "Fedora CoreOS",
        "/builds/42.20260101.3.0/x86_64",
        {f"builds/42.20260101.3.0/x86_64/{k}": v for k, v in COREOS.items()},
        "coreos",
        "fedora-coreos-42.20260101.3.0-live-kernel.x86_64",
        "fedora-coreos-42.20260101.3.0-live-initramfs.x86_64.img",
        arguments=(
            "coreos.live.rootfs_url={root}/builds/42.20260101.3.0/x86_64/"
            "fedora-coreos-42.20260101.3.0-live-rootfs.x86_64.img",
            "ip=dhcp",
            "rd.neednet=1",
        ),
        system="coreos",
    ),
    # https://www.flatcar.org/docs/latest/installing/bare-metal/booting-with-pxe/
    Case(
        "Flatcar",
        "/amd64-usr/current",
        {
            f"amd64-usr/current/{k}": v
            for k, v in pair(
                "flatcar_production_pxe.vmlinuz", "flatcar_production_pxe_image.cpio.gz"
            ).items()
        },
        "flatcar",
        "flatcar_production_pxe.vmlinuz",
        "flatcar_production_pxe_image.cpio.gz",
        arguments=("flatcar.first_boot=1",),
        system="flatcar",
    ),
    Case("empty directory", "", {"readme": b"x"}, refusal=r"404 for \.treeinfo treeinfo current/"),
    Case(
        "Fedora, other architecture",
        "",
        pair(*PXEBOOT) | {".treeinfo": treeinfo("Fedora", *PXEBOOT, arch="aarch64")},
        refusal="architecture is arm64 according to .treeinfo, but hosts are x86_64",
    ),
    Case(
        "pxeboot, unknown architecture",
        "",
        pair(*PXEBOOT),
        refusal="the architecture of images/pxeboot/vmlinuz is unknown",
    ),
    Case(
        "treeinfo without a kernel file",
        "",
        {".treeinfo": treeinfo("Fedora", *PXEBOOT)},
        refusal="200 for .treeinfo, 404 for images/pxeboot/vmlinuz",
    ),
    Case(
        "treeinfo that leads outside",
        "/os",
        {"k": KERNEL, "i": INITRD, "os/.treeinfo": treeinfo("Fedora", "../k", "../i")},
        refusal="names files outside of the tree",
    ),
    Case(
        "treeinfo that is a web page",
        "",
        {".treeinfo": b"<html>Welcome</html>"},
        refusal="a web page for .treeinfo",
    ),
)
