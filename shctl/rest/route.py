"""The types of rows in the server's table of routes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True)
class Route:
    """A method on a path, and the command that it runs.

    `scope` is the scope that a token needs, `seconds` the time limit of the request, and
    `max_timeout`, in seconds, the maximum of its parameter `timeout`. `renamed` maps names in the
    query to those of parameters. `failures` are statuses that not all routes have. `cpu_bound`
    requests compute more than they wait. `limit` is a key of CommandRunner.limits.
    """

    method: str
    path: str
    command: str
    status: int
    scope: str
    seconds: float
    max_timeout: float | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[int, ...] = ()
    cpu_bound: bool = False
    limit: str = "change"

    @property
    def placeholders(self) -> list[str]:
        """Return the names of the path's variable parts."""
        return re.findall("<([a-z]+)>", self.path)

    def fill(self, path: Mapping[str, str]) -> str:
        """Return the path with these values instead of its placeholders."""
        return re.sub("<([a-z]+)>", lambda found: quote(path[found[1]], safe=""), self.path)

    @property
    def has_body(self) -> bool:
        """Whether parameters come in a JSON body, else in the query."""
        return self.method in ("POST", "PUT", "PATCH")


@dataclass(frozen=True)
class Page:
    """A path of the server itself; the method `_{handler}` of Server responds to it."""

    path: str
    scope: str
    handler: str
    summary: str
    method: str = "GET"
