"""The options of an installation, which become one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shctl.commands.option_groups import grouped
from shctl.commands.option_kinds import LocalOption
from shctl.commands.session import Session
from shctl.commands.types import Duration, InjectedFile, NamedContent, NamedText
from shctl.common import defaults
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from shctl.install.media import InstallOptions


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
        _check_none(
            **options, inject=inject_files or inject, values=values, install_timeout=install_timeout
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
        # Settings are for all hosts.
        if value and (_is_typed(name) or name == "inject"):
            raise InvalidInput(f"{name}: requires --install", field=name)


INSTALL = grouped(
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
