"""`shctl config`: the current settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Group, LocalCommand
from shctl.commands.session import Session

if TYPE_CHECKING:
    from shctl.common.model import Setting


@click.group(cls=Group)
def config() -> None:
    """Show the current settings."""


@config.command(
    "show",
    cls=LocalCommand,
    examples=["shctl config show", "shctl --config ./shctl.toml -o json config show"],
)
@click.pass_obj
@click.pass_context
def show_settings(ctx: click.Context, session: Session) -> list[Setting]:
    """Show each setting with its value and its source.

    Options override environment variables, which override the settings file, which overrides the
    defaults.
    """
    from shctl.commands import option_defaults, settings

    return [*settings.show(ctx, session), *option_defaults.show(ctx.find_root())]
