"""Options that only one interface has, or has elsewhere."""

import click


class QueryOption(click.Option):
    """An option that REST reads from the query string, even if there is a JSON body."""


class LocalOption(click.Option):
    """An option that makes sense only on the command line, so REST does not have it."""
