"""`shctl hosts create`, whose options about hardware and installation become one object each."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from shctl.commands import option_defaults
from shctl.commands.base import DRY_RUN, Command
from shctl.commands.install_options import INSTALL
from shctl.commands.option_groups import grouped
from shctl.commands.option_kinds import PROGRESS, LocalOption
from shctl.commands.session import Session, no_progress
from shctl.commands.types import NETWORK, NEW_HOST, POOL, Number
from shctl.common import defaults
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from shctl.common.model import CreationPlan, HostDetail
    from shctl.install.media import InstallOptions
    from shctl.xml.domain import Hardware

MAX_MEMORY = 16 * 2**20  # MiB; no x86 server has more
MAX_CPUS = 255  # libvirt requires a special IOMMU for more
MAX_DISK = 2**16  # GiB


def _hardware(**options: Any) -> Hardware:
    from shctl.xml.domain import Hardware

    return Hardware(**options)


HARDWARE = grouped(
    "hardware",
    _hardware,
    click.option(
        "--memory",
        required=True,
        type=Number(16, MAX_MEMORY, "MiB"),
        metavar="MIB",
        help="Memory, in MiB.",
    ),
    click.option(
        "--cpus",
        default=1,
        show_default=True,
        type=Number(1, MAX_CPUS),
        metavar="N",
        help="Number of virtual CPUs.",
    ),
    click.option(
        "--firmware",
        default="bios",
        show_default=True,
        type=click.Choice(["bios", "uefi"]),
        help="Firmware of the host; uefi is without secure boot.",
    ),
    click.option(
        "--virt-type",
        default="auto",
        show_default=True,
        envvar="SHCTL_VIRT_TYPE",
        type=click.Choice(["auto", "kvm", "qemu"]),
        help="KVM, or QEMU's slow emulation (TCG); auto uses KVM where it works.",
    ),
)


@click.command(
    "create",
    cls=Command,
    examples=[
        "shctl hosts create web1 --memory 512 --disk 8 --network vlan10 --start",
        "shctl hosts create web2 --memory 1024 --disk 8 --network vlan10 --install --wait"
        " --location http://deb.debian.org/debian/dists/bookworm/main/installer-amd64"
        " --cmdline 'auto=true priority=critical' --inject preseed.cfg",
        "shctl hosts create db1.example.com --memory 4G --cpus 4 --disk 8 --disk 100"
        " --network vlan10 --network vlan20 --firmware uefi",
    ],
)
@click.argument("name", type=NEW_HOST)
@HARDWARE
@click.option(
    "--disk",
    "disks",
    required=True,
    multiple=True,
    type=Number(1, MAX_DISK, "GiB"),
    metavar="GIB",
    help="Size of a disk, in GiB. Repeat it for more disks: sdb, sdc, ...",
)
@click.option(
    "--network",
    "networks",
    required=True,
    multiple=True,
    type=NETWORK,
    metavar="NET",
    help="Network of an interface. Repeat it for more interfaces.",
)
@click.option(
    "--pool",
    default=defaults.POOL,
    show_default=True,
    type=POOL,
    help="Storage pool for the disks.",
)
@click.option(
    "--autostart/--no-autostart",
    default=False,
    help="Start the host whenever the hypervisor boots.",
)
# None if neither is given: then --install decides.
@click.option("--start/--no-start", default=None, help="Start the host now; --install implies it.")
@click.option(
    "--if-not-exists", is_flag=True, help="Keep an existing host of this name if it is the same."
)
@click.option(
    "--overcommit", is_flag=True, help="Create the host even if the machine has too little memory."
)
@INSTALL
@click.option(
    "--wait", cls=LocalOption, is_flag=True, help="Wait until the host is installed, or running."
)
@click.option(
    "--profile",
    metavar="NAME",
    is_eager=True,  # the other options have its values as their defaults
    expose_value=False,
    callback=option_defaults.apply_profile,
    shell_complete=option_defaults.complete_profiles,
    help="Use the options of a profile in the settings, unless they are given.",
)
@PROGRESS
@DRY_RUN
@click.pass_obj
def create_host(
    session: Session,
    name: str,
    hardware: Hardware,
    disks: tuple[int, ...],
    networks: tuple[str, ...],
    pool: str,
    autostart: bool,
    start: bool | None,
    if_not_exists: bool,
    overcommit: bool,
    install: InstallOptions | None,
    wait: bool,
    progress: bool,
    dry_run: bool,
) -> HostDetail | CreationPlan:
    """Create a host, and install an operating system with --install.

    Without --install its disks are blank, and it boots from the first disk, then from the network.
    With --install the installer boots once; when it has ended, the host boots from its disk.
    With --dry-run all checks are made and the steps are printed; nothing is changed or downloaded.
    """
    from shctl.hosts import creation, creation_preview, waiting
    from shctl.hosts.request import Request

    request = Request(
        name, hardware, disks, networks, pool, autostart, start, if_not_exists, overcommit, install
    )
    if wait and not request.starts:
        raise InvalidInput("wait: requires --start or --install", field="wait")
    if install:
        from shctl.install import media

        for hint in media.hints(install):
            session.note(hint)
    if dry_run:
        return creation_preview.preview(session.hypervisor, request)
    # An installation has its own deadline.
    limit = defaults.WAIT_TIMEOUT if wait and not install else None
    takes_time = wait or progress or install
    live = session.show_live((name,), limit, lines=progress, before="creating")
    with live if takes_time else nullcontext(no_progress) as report:
        host = creation.create(session.hypervisor, request, report, session.note_kept)
        if not wait:
            return host
        condition = "installed" if install else "running"
        session.interrupted = (
            f"interrupted; host {name!r} goes on, and 'shctl hosts wait {name} --for {condition}'"
            " waits again"
        )
        if not install:
            return waiting.wait(session.hypervisor, name, "running")
        # The installation times out before this wait does, and records the reason.
        timeout = install.timeout + defaults.WAIT_TIMEOUT
        return waiting.wait(session.hypervisor, name, "installed", timeout)
