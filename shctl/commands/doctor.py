"""`shctl doctor`: find and fix problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Command
from shctl.commands.option_kinds import LocalOption
from shctl.commands.session import Session

if TYPE_CHECKING:
    from shctl.common.model import Finding


@click.command(cls=Command, examples=["shctl doctor", "shctl doctor --fix"])
@click.option(
    "--fix", cls=LocalOption, is_flag=True, help="Fix the problems that shctl can fix safely."
)
@click.pass_obj
def doctor(session: Session, fix: bool = False) -> list[Finding]:
    """Find problems that interrupted commands and other tools left behind.

    Fixes change only objects that shctl created. They delete disks only of hosts whose creation or
    deletion was interrupted. The exit code is 0 even if problems are found.
    """
    from shctl.doctor import examine

    found = examine(session.hypervisor, fix=fix)
    if not found:
        session.note("no problems found")
    return found
