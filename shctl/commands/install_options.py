"""The options of an installation, which become one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shctl.commands.option_groups import grouped
from shctl.commands.option_kinds import FileOption, LocalOption
from shctl.commands.session import Session
from shctl.commands.types import AnswerFile, Duration, InjectedFile, NamedContent, NamedText
from shctl.common import defaults
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from shctl.install.media import InstallOptions


def _install_options(
    *,
    install: bool,
    answer_files: tuple[str, ...],
    answers: tuple[tuple[str, bytes], ...],
    inject_files: tuple[str, ...],
    inject: tuple[tuple[str, bytes], ...],
    values: tuple[tuple[str, str], ...],
    install_timeout: float,
    **options: Any,
) -> InstallOptions | None:
    """Return the options of an installation; refuse them without --install."""
    if not install:
        _check_none(
            **options,
            answers=answer_files or answers,
            inject=inject_files or inject,
            values=values,
            install_timeout=install_timeout,
        )
        return None
    from shctl.install.answers import read_injected
    from shctl.install.media import InstallOptions

    _check_standard_input(answer_files, inject_files)
    return InstallOptions(
        **options,
        answers=read(answer_files, answers),
        inject=_unique("inject", [*read_injected(inject_files).items(), *inject]),
        values=read_values(values),
        timeout=install_timeout,
        # Only a local user may name a directory of this machine as the location.
        local=click.get_current_context().ensure_object(Session).local,
    )


def read(files: tuple[str, ...], given: tuple[tuple[str, bytes], ...]) -> dict[str, bytes]:
    """Return answers by the names of their files: those of files, and those of a request."""
    from shctl.install.answers import read_answers

    return _unique("answers", [*read_answers(files).items(), *given])


def read_values(values: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return values of placeholders; those of a local user may be in files."""
    # A request could read files of the server.
    if not click.get_current_context().ensure_object(Session).local:
        return dict(values)
    from shctl.install import answers

    return answers.read_values(values)


def _check_standard_input(answers: tuple[str, ...], injected: tuple[str, ...]) -> None:
    if "-" in answers and any(file.endswith("=-") for file in injected):
        raise InvalidInput("inject: standard input has the answers already", field="inject")


def _unique(field: str, files: list[tuple[str, bytes]]) -> dict[str, bytes]:
    found = dict(files)
    if len(found) < len(files):
        raise InvalidInput(f"{field}: two files have the same name", field=field)
    return found


def _is_typed(name: str) -> bool:
    """Return whether an option was given on the command line, not by the settings."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _check_none(**options: object) -> None:
    for name, value in options.items():
        # Settings are for all hosts.
        if value and (_is_typed(name) or name in ("answers", "inject")):
            raise InvalidInput(f"{name}: requires --install", field=name)


ANSWERS = click.option(
    "--answers",
    "answer_files",
    cls=FileOption,
    key="answers",
    multiple=True,
    metavar="FILE",
    type=AnswerFile(),
    help="Answer the installer's questions with this preseed, kickstart, autoinstall, AutoYaST,"
    " Agama or Ignition file, which is delivered as the installer of the tree reads it. A FILE"
    " of - is standard input. Repeatable, for cloud-init's meta-data or network-config. With"
    " --value NAME=@FILE the value of a placeholder is not in the list of processes.",
)
ANSWERS_TEXT = click.option(
    "--answers-text",  # what REST has instead: `answers` in JSON
    "answers",
    multiple=True,
    type=NamedContent(),
    hidden=True,
    help="Answers to the installer's questions, by the names of their files: text, or bytes in"
    " base64.",
)
VALUES = click.option(
    "--value",
    "values",
    multiple=True,
    type=NamedText(),
    metavar="NAME=TEXT",
    help="Replace @SHCTL_NAME@ in answers and injected files that are UTF-8. HOSTNAME, MAC, DISK"
    " and LOCATION are predefined. Repeatable.",
)
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
    ANSWERS,
    ANSWERS_TEXT,
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
    VALUES,
    click.option(
        "--force-memory",
        is_flag=True,
        help="Start the installer with less memory than it needs.",
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
