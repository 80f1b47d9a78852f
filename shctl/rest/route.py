"""What a row in the server's table of routes says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Route:
    """A method on a path, and the command that it runs.

    `scope` is what a token needs, `seconds` when the request is given up. `longest` bounds a
    parameter `timeout`, in seconds. `renamed` maps names in the query to those of parameters.
    `failures` are statuses that not every route has. `busy` says that it works more than it waits.
    `places` names those that it shares, see shctl.rest.runner.
    """

    method: str
    path: str
    command: str
    status: int
    scope: str
    seconds: float
    longest: float | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[int, ...] = ()
    busy: bool = False
    places: str = "change"

    @property
    def placeholders(self) -> list[str]:
        """Return the names of the path's variable parts."""
        return re.findall("<([a-z]+)>", self.path)

    @property
    def has_body(self) -> bool:
        """Tell whether parameters come in a JSON body, else in the query."""
        return self.method in ("POST", "PUT")


@dataclass(frozen=True)
class Page:
    """A path of the server itself; `answer` names the method that fills it."""

    path: str
    scope: str
    answer: str
    summary: str
    method: str = "GET"
