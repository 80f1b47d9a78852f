"""Options that only one interface has, or has elsewhere."""

import click


class QueryOption(click.Option):
    """An option that REST reads from the query string, even if there is a JSON body."""


class LocalOption(click.Option):
    """An option that makes sense only on the command line, so REST does not have it."""


PROGRESS = click.option(
    "--progress",
    cls=LocalOption,
    is_flag=True,
    help="Without a terminal, too, say on stderr what happens: a line for each change, and one each"
    " minute.",
)
