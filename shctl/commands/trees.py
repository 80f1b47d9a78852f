"""`shctl trees`: installation trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Group
from shctl.commands.session import Session
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from shctl.common.model import Cached, TreeDetail


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
    from shctl.install.trees import NoTree, probe, show

    try:
        return show(probe(location, kernel=kernel, initrd=initrd, local=session.local))
    except NoTree as error:
        # Every URL that was tried; the error of a creation has only a summary.
        raise InvalidInput(error.full, field="location") from None
