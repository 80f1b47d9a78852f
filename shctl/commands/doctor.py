"""`shctl doctor`: what is wrong, and what would put it right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Command, LocalOption
from shctl.commands.session import Session

if TYPE_CHECKING:
    from shctl.common.model import Finding


@click.command(cls=Command, examples=["shctl doctor", "shctl doctor --fix"])
@click.option("--fix", cls=LocalOption, is_flag=True, help="Put right what is ours and can be.")
@click.pass_obj
def doctor(session: Session, fix: bool = False) -> list[Finding]:
    """Find what interruptions and other tools left behind.

    Nothing is touched that shctl did not make, and no disk but those of hosts whose creation or
    deletion was interrupted. The exit code is 0 whatever is found.
    """
    from shctl.doctor import examine

    return examine(session.hypervisor, fix=fix)
