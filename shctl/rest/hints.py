"""Rewrite messages for clients of REST: requests instead of commands, JSON keys instead of options.

Messages are written for the command line, such as "'shctl hosts stop web1 --force' powers it off".
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from shctl.rest.parameters import replace_options
from shctl.rest.route import Route

Keys = Mapping[str, str]  # from an option to its JSON key
# With what follows where root has to run it on the hypervisor.
_COMMAND = re.compile(r"('shctl [^']*'(?: in a root shell| as root)?)")


class Hints:
    """Rewrites messages, by the routes and the keys that each has."""

    def __init__(self, routes: Iterable[tuple[Route, Keys]]) -> None:
        self._routes = tuple(routes)

    def rewrite(self, text: str, keys: Keys) -> str:
        """Return a message; `keys` are those of the request that failed.

        Commands that have no route stay as they are, with their options.
        """
        pieces = _COMMAND.split(text)  # every second one is a command
        pieces[::2] = [replace_options(piece, keys) for piece in pieces[::2]]
        pieces[1::2] = [self._request(piece) for piece in pieces[1::2]]
        return "".join(pieces)

    def _request(self, command: str) -> str:
        if not command.endswith("'"):
            return command
        words, _, options = command[len("'shctl ") : -1].partition(" --")
        for route, keys in self._routes:
            names = _names(route, words)
            given = _given(options, keys)
            if names is not None and given is not None:
                return _shown(route, names, given)
        return command


def _names(route: Route, words: str) -> list[str] | None:
    """Return the names in a command without its options; None if it is another route's."""
    if not f"{words} ".startswith(f"{route.command} "):
        return None
    names = words.removeprefix(route.command).split()
    # Without a name, the command is meant in general.
    return names if len(names) in (0, len(route.placeholders)) else None


def _given(options: str, keys: Keys) -> dict[str, str] | None:
    """Return a command's options by their keys; None if REST lacks one."""
    given = {}
    for option in filter(None, options.split(" --")):
        name, _, value = option.partition(" ")
        if f"--{name}" not in keys:
            return None
        given[keys[f"--{name}"]] = value or "true"
    return given


def _shown(route: Route, names: list[str], given: Mapping[str, str]) -> str:
    path = route.path
    if names:
        path = route.fill(dict(zip(route.placeholders, names, strict=True)))
    path = path.replace("<", "{").replace(">", "}")
    if route.has_body:
        body = ", ".join(k if value == "true" else f"{k} {value}" for k, value in given.items())
        return f"'{route.method} {path}'" + (f" with {body}" if body else "")
    query = "&".join(f"{key}={quote(value)}" for key, value in given.items())
    return f"'{route.method} {path}{query and '?'}{query}'"
