"""`shctl hosts create`, whose options about hardware and installation become one object each."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from shctl.commands.base import DRY_RUN, Command, LocalOption
from shctl.commands.session import Session
from shctl.commands.types import (
    NETWORK,
    NEW_HOST,
    POOL,
    Duration,
    InjectedFile,
    NamedContent,
    NamedText,
    Number,
)
from shctl.common import defaults
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from shctl.common.model import CreationPlan, HostDetail
    from shctl.install.media import InstallOptions
    from shctl.xml.domain import Hardware

Function = Callable[..., Any]
MAX_MEMORY = 16 * 2**20  # MiB; no x86 server has more
MAX_CPUS = 255  # libvirt requires a special IOMMU for more
MAX_DISK = 2**16  # GiB


def _grouped(
    name: str, make: Callable[..., object], *options: Callable[[Function], Function]
) -> Callable[[Function], Function]:
    """Add options whose values a command gets as one argument `name`: make(**values)."""

    def decorate(function: Function) -> Function:
        @wraps(function)
        def run(*args: Any, **given: Any) -> Any:
            values = {option: given.pop(option) for option in added}
            return function(*args, **{name: make(**values)}, **given)

        # click collects a command's parameters in this list, last decorator first.
        params: list[click.Parameter] = run.__dict__.setdefault("__click_params__", [])
        others = len(params)
        for option in reversed(options):
            option(run)
        added = [param.name or "" for param in params[others:]]
        return run

    return decorate


def _hardware(**options: Any) -> Hardware:
    from shctl.xml.domain import Hardware

    return Hardware(**options)


HARDWARE = _grouped(
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


def _install_options(
    *,
    install: bool,
    inject_files: tuple[str, ...],
    inject: tuple[tuple[str, bytes], ...],
    values: tuple[tuple[str, str], ...],
    install_timeout: float,
    **options: Any,
) -> InstallOptions | None:
    """Return the options of an installation; refuse them without --install."""
    if not install:
        timeout = _is_typed("install_timeout")  # a setting is for all hosts
        _check_none(
            **options, inject=inject_files or inject, values=values, install_timeout=timeout
        )
        return None
    from shctl.install.answers import read_answers
    from shctl.install.media import InstallOptions

    return InstallOptions(
        **options,
        inject=_unique([*read_answers(inject_files).items(), *inject]),
        values=dict(values),
        timeout=install_timeout,
        # Only a local user may name a directory of this machine as the location.
        local=click.get_current_context().ensure_object(Session).local,
    )


def _unique(answers: list[tuple[str, bytes]]) -> dict[str, bytes]:
    found = dict(answers)
    if len(found) < len(answers):
        raise InvalidInput("inject: two files have the same name", field="inject")
    return found


def _is_typed(name: str) -> bool:
    """Return whether an option was given on the command line, not by the settings."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _check_none(**options: object) -> None:
    for name, value in options.items():
        if value:
            raise InvalidInput(f"{name}: requires --install", field=name)


INSTALL = _grouped(
    "install",
    _install_options,
    click.option(
        "--install",
        is_flag=True,
        help="Install an operating system: from --location, else by network boot.",
    ),
    click.option("--location", metavar="URL", help="URL of the installation tree."),
    click.option(
        "--cmdline", metavar="STR", default="", help="Command line of the installer's kernel."
    ),
    click.option(
        "--kernel",
        metavar="PATH",
        help="Path of the kernel below --location, instead of the one found.",
    ),
    click.option(
        "--initrd", metavar="PATH", help="Path of the initrd below --location; requires --kernel."
    ),
    click.option(
        "--inject",
        "inject_files",
        cls=LocalOption,  # over REST a path would be one of the server's
        multiple=True,
        metavar="[NAME=]FILE",
        type=InjectedFile(),
        help="Add this file to the initrd, such as a preseed.cfg or a kickstart; NAME is its"
        " path there, such as nocloud/user-data. A FILE of - is standard input; write ./a=b for a"
        " name with an equals sign. Repeatable.",
    ),
    click.option(
        "--inject-text",  # what REST has instead: `inject` in JSON
        "inject",
        multiple=True,
        type=NamedContent(),
        hidden=True,
        help="Files to add to the initrd, by their paths there: text, or bytes in base64.",
    ),
    click.option(
        "--value",
        "values",
        multiple=True,
        type=NamedText(),
        metavar="NAME=TEXT",
        help="Replace @SHCTL_NAME@ in injected files that are UTF-8. HOSTNAME, MAC, DISK and"
        " LOCATION are predefined. Repeatable.",
    ),
    click.option(
        "--install-timeout",
        default=f"{defaults.INSTALL_TIMEOUT / 3600:g}h",
        show_default=True,
        type=Duration(1, 7 * 86400),  # seconds
        metavar="TIME",
        help="Time after which the installation has failed: seconds, or 90m, 2h.",
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
@click.option("--autostart", is_flag=True, help="Start the host whenever the hypervisor boots.")
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
    if dry_run:
        return creation_preview.preview(session.hypervisor, request)
    host = creation.create(session.hypervisor, request, session.progress, session.note_kept)
    if not wait:
        return host
    if not install:
        return waiting.wait(session.hypervisor, name, "running")
    # The installation times out before this wait does, and records the reason.
    timeout = install.timeout + defaults.WAIT_TIMEOUT
    return waiting.wait(session.hypervisor, name, "installed", timeout)
