"""Turn the examples in a command's help into examples of requests."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import click

from shctl.commands.base import Command
from shctl.commands.option_kinds import FileOption, LocalOption
from shctl.commands.types import Duration, NamedText
from shctl.rest import parameters
from shctl.rest.route import Route

Values = dict[str, Any]


def find(
    route: Route,
    command: click.Command,
    context: click.Context,
    params: Mapping[str, click.Parameter],
) -> Values:
    """Return the values of an example request, by their names in the path, the query or the body.

    It is the first example of the command that needs nothing which REST does not have. `params`
    are the route's, by their names in a request; `context` is the command's own.
    """
    for text in command.examples if isinstance(command, Command) else ():
        # What precedes are the program and its global options.
        _, _, words = text.partition(route.command)
        given, _, _ = command.make_parser(context).parse_args(shlex.split(words))
        # What is not given is None, (), or since click 8.3 the object UNSET.
        given = {name: v for name, v in given.items() if v and isinstance(v, str | bool | Sequence)}
        values = _options(route, command, params, given)
        if values is not None:
            return _placeholders(route, command, given) | values
    return {}


def _placeholders(route: Route, command: click.Command, given: Values) -> Values:
    """Return the values of the path's variable parts, from the positional arguments."""
    arguments = {parameters.placeholder(route, param): param.name for param in command.params}
    words = {name: given.get(arguments.get(name) or "") for name in route.placeholders}
    # Commands take several names where a path has one.
    return {
        name: word if isinstance(word, str) else word[0] for name, word in words.items() if word
    }


def _options(
    route: Route, command: click.Command, params: Mapping[str, click.Parameter], given: Values
) -> Values | None:
    """Return the options of an example; None if one names a file of the user's machine."""
    names = {param.name: name for name, param in params.items()}
    values: Values = {}
    for param in command.params:
        if param.name in given and param.name in names:
            values[names[param.name]] = _json(param, given[param.name], route.max_timeout)
        # A request has the text where the command line has the name of a file.
        elif param.name in given and isinstance(param, FileOption):
            values[param.key] = dict.fromkeys(given[param.name], "(the text of the file)")
        elif param.name in given and isinstance(param, LocalOption) and not param.is_flag:
            return None
    return values


def _json(param: click.Parameter, value: Any, max_timeout: float | None) -> Any:
    """Return an option's words as a request has them."""
    if isinstance(param, click.Option) and param.is_flag:
        return value in (True, "True")  # bool or text, by the version of click
    if isinstance(param.type, NamedText):
        return dict(word.split("=", 1) for word in value)
    if param.multiple:
        return [_number(param, word) for word in value]
    if isinstance(param.type, Duration):
        return min(param.type.convert(value, param, None), max_timeout or float("inf"))
    return _number(param, value)


def _number(param: click.Parameter, word: str) -> Any:
    is_number = isinstance(param.type, click.IntRange | click.FloatRange)
    return param.type.convert(word, param, None) if is_number else word
