"""A table of installers: what their command lines need, and how each reads its answers.

The sources are the installation guides of Debian and Red Hat, the boot options of dracut, Anaconda
and linuxrc, casper(7), and the documentation of Agama, mkinitfs, archiso and coreos-installer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shctl.install.answer_kinds import Kind

CIDATA, OEMDRV = "CIDATA", "OEMDRV"  # labels by which cloud-init, and Anaconda or Agama, find a CD


@dataclass(frozen=True)
class Delivery:
    """Where an installer reads answers: as `file` in its initrd, or on a CD labelled `label`.

    `arguments` are those of the kernel that name it.
    """

    file: str
    label: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """An installer; `arguments` may contain {tree} and {medium}, the URLs of both.

    `medium` says what it loads besides its initrd, "" if nothing. `memory` is the least that it
    starts with, in MiB.
    """

    name: str
    answers: Mapping[Kind, Delivery] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    medium: str = ""
    memory: int = 0


UNKNOWN = System("unknown")

SYSTEMS = {
    system.name: system
    for system in (
        System(
            "debian-installer",
            {Kind.PRESEED: Delivery("preseed.cfg", arguments=("auto=true", "priority=critical"))},
            # With 512 MiB it stops at a question, also with priority=critical.
            memory=1024,
        ),
        # Up to Ubuntu 20.04, whose older releases are content with 512 MiB.
        System(
            "ubuntu-installer",
            {Kind.PRESEED: Delivery("preseed.cfg", arguments=("auto=true", "priority=critical"))},
        ),
        System(
            "subiquity",
            {Kind.AUTOINSTALL: Delivery("user-data", CIDATA, ("autoinstall",))},
            (
                "root=/dev/ram0", "ramdisk_size=1500000", "cloud-config-url=/dev/null", "ip=dhcp",
                "url={medium}",
            ),
            "the ISO of the live server",
            # The ISO is loaded into memory: below this, it hangs without a message.
            memory=4096,
        ),
        System(
            "anaconda",
            {Kind.KICKSTART: Delivery("ks.cfg", arguments=("inst.ks=file:/ks.cfg", "inst.text"))},
            ("inst.repo={tree}",),
            memory=2048,
        ),
        # Before release 7 of Red Hat Enterprise Linux, the arguments had no prefix.
        System(
            "anaconda-6",
            {Kind.KICKSTART: Delivery("ks.cfg", arguments=("ks=file:/ks.cfg",))},
            ("method={tree}",),
        ),
        System(
            "yast",
            {Kind.AUTOYAST: Delivery("autoinst.xml", arguments=("autoyast=file:///autoinst.xml",))},
            ("install={tree}",),
            memory=1024,
        ),
        System(
            "agama",
            {Kind.AGAMA: Delivery("autoinst.json", OEMDRV)},
            ("root=live:{medium}", "ip=dhcp", "rd.neednet=1"),
            "a live image",
            memory=2048,
        ),
        System(
            "alpine",
            {},
            ("ip=dhcp", "alpine_repo={repository}", "modloop={medium}", "modules=loop,squashfs"),
            "a modloop",
            memory=256,
        ),
        System(
            "archiso",
            {},
            ("archisobasedir=arch", "archiso_http_srv={mirror}", "ip=dhcp"),
            memory=1024,
        ),
        System(
            "coreos",
            {
                Kind.IGNITION: Delivery(
                    "config.ign", arguments=("ignition.firstboot", "ignition.platform.id=metal")
                )
            },
            ("coreos.live.rootfs_url={medium}", "ip=dhcp", "rd.neednet=1"),
            "a root file system",
            memory=2048,
        ),
        System(
            "flatcar",
            {
                Kind.IGNITION: Delivery(
                    "usr/share/oem/config.ign", arguments=("ignition.config.url=oem:///config.ign",)
                )
            },
            # Without it, Ignition does not run.
            ("flatcar.first_boot=1",),
            memory=2048,
        ),
        System("mageia"),
        UNKNOWN,
    )
}  # fmt: skip


def read_kinds(system: System) -> tuple[str, ...]:
    """Return the kinds of answers that an installer reads."""
    return tuple(kind.value for kind in system.answers)


def reader(kind: Kind) -> System | None:
    """Return the first installer that reads a kind of answers."""
    return next((system for system in SYSTEMS.values() if kind in system.answers), None)
