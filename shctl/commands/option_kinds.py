"""Options that only one interface has, or has elsewhere."""

from typing import Any

import click


class QueryOption(click.Option):
    """An option that REST reads from the query string, even if there is a JSON body."""


class LocalOption(click.Option):
    """An option that makes sense only on the command line, so REST does not have it."""


class FileOption(LocalOption):
    """An option for files; REST has their contents by their names, under `key`."""

    def __init__(self, *declarations: Any, key: str, **settings: Any) -> None:
        super().__init__(*declarations, **settings)
        self.key = key


PROGRESS = click.option(
    "--progress",
    cls=LocalOption,
    is_flag=True,
    help="Without a terminal, too, say on stderr what happens: a line for each change, and one each"
    " minute.",
)
