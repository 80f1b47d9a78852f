"""Check a request's headers: its route, its caller, and whether its body can be accepted.

This runs in the event loop, before the body is read and a thread is taken, so it never blocks.
"""

from collections.abc import Iterable
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
_CODES = {
    HTTPStatus.NOT_FOUND: "no_such_path",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}


class NoRoute(ShctlError):
    """A path does not exist (404), or has no such method (405)."""

    def __init__(self, status: HTTPStatus, detail: str, **headers: str) -> None:
        super().__init__(f"{detail}; GET /openapi.json lists the routes")
        self.status = status
        self.title = status.phrase
        self.code = _CODES.get(status, self.code)
        self.headers = headers


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

    def _no_route(self, method: str, path: str) -> NoRoute:
        found = {other for other in self._methods if self._find(other, path)[0]}
        if not found:
            return NoRoute(HTTPStatus.NOT_FOUND, "there is no such path")
        # Bottle answers HEAD with GET's route.
        allowed = ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))
        detail = f"{parsing.printable(method)} is not allowed here, only {allowed}"
        # RFC 9110, 15.5.6, requires Allow.
        return NoRoute(HTTPStatus.METHOD_NOT_ALLOWED, detail, Allow=allowed)


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
