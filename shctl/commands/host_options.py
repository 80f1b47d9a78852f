"""The options of `hosts create` that become one object each: its hardware, its installation."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from shctl.commands.base import LocalOption
from shctl.commands.session import Session
from shctl.commands.types import Duration, InjectedFile, NamedContent, NamedText, Number
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from shctl.install.media import InstallOptions
    from shctl.xml.domain import Hardware

Command = Callable[..., Any]
MAX_MEMORY = 16 * 2**20  # MiB; no x86 server has more


def _grouped(
    name: str, make: Callable[..., object], *options: Callable[[Command], Command]
) -> Callable[[Command], Command]:
    """Add options whose values a command gets as one argument `name`: make(**values)."""

    def decorate(function: Command) -> Command:
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
        type=Number(1, 255),
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
        timeout = _is_typed("install_timeout")
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
        cls=LocalOption,
        multiple=True,
        metavar="[NAME=]FILE",
        type=InjectedFile(),
        help="Add this file to the initrd, such as a preseed.cfg or a kickstart; NAME is its"
        " path there, such as nocloud/user-data. A FILE of - is standard input; write ./a=b for a"
        " name with an equals sign. Repeatable.",
    ),
    click.option(
        "--inject-text",
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
        default="2h",
        show_default=True,
        type=Duration(1, 7 * 86400),
        metavar="TIME",
        help="Time after which the installation has failed: seconds, or 90m, 2h.",
    ),
)
