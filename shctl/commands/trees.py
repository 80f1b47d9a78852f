"""`shctl trees`: installation trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Group
from shctl.commands.install_options import ANSWERS, ANSWERS_TEXT, VALUES, read, read_values
from shctl.commands.session import Session
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from shctl.common.model import Cached, CheckedAnswers, TreeDetail


@click.group(cls=Group)
def trees() -> None:
    """Examine installation trees."""


@trees.command("cached", examples=["shctl trees cached", "shctl trees cached --forget"])
@click.option(
    "--forget", is_flag=True, help="Remove them; later installations download them again."
)
@click.pass_obj
def list_cached(_session: Session, forget: bool) -> list[Cached]:
    """List the cached kernels and initrds."""
    from shctl.install.cache import Cache, show

    return show(Cache(), forget=forget)


@trees.command(
    "probe",
    examples=["shctl trees probe http://deb.debian.org/debian/dists/bookworm/main/installer-amd64"],
)
@click.argument("location", metavar="URL")
@click.option("--kernel", metavar="PATH", help="Kernel, below the URL, instead of the one found.")
@click.option("--initrd", metavar="PATH", help="Initrd, below the URL; requires --kernel.")
@click.pass_obj
def probe_tree(
    session: Session, location: str, kernel: str | None, initrd: str | None
) -> TreeDetail:
    """Show what an installation tree contains, how it was detected, and every URL tried."""
    from shctl.install.tree import show
    from shctl.install.trees import NoTree, probe

    try:
        return show(probe(location, kernel=kernel, initrd=initrd, local=session.local))
    except NoTree as error:
        # Every URL that was tried; the error of a creation has only a summary.
        raise InvalidInput(error.full, field="location") from None


@trees.command(
    "check",
    examples=["shctl trees check --location https://releases.ubuntu.com/24.04 --answers user-data"],
)
@click.option("--location", required=True, metavar="URL", help="URL of the installation tree.")
@ANSWERS
@ANSWERS_TEXT
@VALUES
@click.pass_obj
def check_answers(
    session: Session,
    location: str,
    answer_files: tuple[str, ...],
    answers: tuple[tuple[str, bytes], ...],
    values: tuple[tuple[str, str], ...],
) -> CheckedAnswers:
    """Check answers for an installer without installing anything.

    Their kind has to fit the tree. They are checked by debconf-set-selections, ksvalidator and
    ignition-validate, as far as these are installed, and for what makes an installer ask a question
    or wait at its end. The output is how they would be delivered.
    """
    from shctl.install.media import InstallOptions, check_answers

    found = read(answer_files, answers)
    if not found:
        raise InvalidInput("answers: none are given", field="answers")
    options = InstallOptions(
        location, answers=found, values=read_values(values), local=session.local
    )
    return check_answers(location, options, "host")
