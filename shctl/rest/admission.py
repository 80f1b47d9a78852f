"""Check a request's headers: its route, its caller, and whether its body can be accepted.

This runs in the event loop, before the body is read and a thread is taken, so it never blocks.
"""

from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any

import bottle

from shctl.common.errors import InvalidInput, ShctlError
from shctl.rest import parsing
from shctl.rest.access import Authenticator, authorize
from shctl.rest.exchange import Exchange
from shctl.rest.http.bodies import MAX_BODY
from shctl.rest.route import Page, Route

Row = Route | Page
_HINT = "GET /openapi.json lists the routes"


class NoSuchPath(ShctlError):
    """The path of a request does not exist."""

    status = HTTPStatus.NOT_FOUND
    code = "no_such_path"
    title = "Not Found"

    def __init__(self) -> None:
        super().__init__(f"there is no such path; {_HINT}")


class MethodNotAllowed(ShctlError):
    """The path of a request does not have its method; `allowed` are those that it has."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "Method Not Allowed"

    def __init__(self, method: str, allowed: str) -> None:
        name = parsing.printable(method)
        super().__init__(f"{name} is not allowed here, only {allowed}; {_HINT}")
        # RFC 9110, 15.5.6, requires Allow.
        self.headers = {"Allow": allowed}


class WrongEncoding(ShctlError):
    """A body is compressed, or encoded in another way."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_encoding"
    title = "Unsupported content encoding"
    # RFC 9110, 15.5.16
    headers = {"Accept-Encoding": "identity"}  # noqa: RUF012


class Admission:
    """Admits the requests of one listener that match the table of routes."""

    def __init__(self, authenticator: Authenticator, rows: Iterable[Row]) -> None:
        self._authenticator = authenticator
        self._router = bottle.Router()
        self._methods: set[str] = set()
        for row in rows:
            self._router.add(row.path, row.method, row)
            self._methods.add(row.method)

    def admit(self, exchange: Exchange) -> Row:
        """Return the row of a request, and set its route and caller; raise ShctlError."""
        environ = exchange.environ
        row, names = self._find(environ["REQUEST_METHOD"], exchange.path)
        # An unknown path needs a scope too, so that clients without a token cannot find paths.
        scope = row.scope if row else "read"
        exchange.route = row.path if row else ""
        self._authenticator.check_browser(environ)
        exchange.caller = self._authenticator.authenticate(environ, scope)
        authorize(exchange.caller, scope)
        exchange.is_allowed = partial(
            self._authenticator.is_allowed, environ, exchange.caller, scope
        )
        if row is None:
            raise self._no_route(exchange.method, exchange.path)
        if isinstance(row, Route):
            exchange.audit = {"command": row.command, **names}
            if row.has_body:
                _check_body(environ)
        return row

    def _find(self, method: str, path: str) -> tuple[Row | None, dict[str, str]]:
        try:
            row, names = self._router.match({"REQUEST_METHOD": method, "PATH_INFO": path})
        except bottle.HTTPError:
            return None, {}
        return row, names

    def _no_route(self, method: str, path: str) -> NoSuchPath | MethodNotAllowed:
        found = {other for other in self._methods if self._find(other, path)[0]}
        if not found:
            return NoSuchPath()
        # Bottle answers HEAD with GET's route.
        allowed = ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))
        return MethodNotAllowed(method, allowed)


def _check_body(environ: dict[str, Any]) -> None:
    """Raise ShctlError for a body whose headers alone make it invalid."""
    encoding = environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise WrongEncoding("Content-Encoding: not supported; send the body uncompressed")
    length = environ.get("CONTENT_LENGTH", "")
    if not length.isdecimal() or not int(length):
        return
    parsing.check_content_type(environ.get("CONTENT_TYPE", ""))
    if int(length) > MAX_BODY:
        raise InvalidInput(f"the body is too long; the limit is {MAX_BODY} bytes")
