"""What a request's header alone decides: who asks, for which route, with what kind of body.

It runs in the event loop, before a body is read and before a thread is spent, and waits for nobody.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import bottle

from shctl.common.errors import InvalidInput, ShctlError
from shctl.rest import parsing
from shctl.rest.access import Gate, check_scope
from shctl.rest.access_log import Exchange
from shctl.rest.route import Page, Route

Row = Route | Page


class NoRoute(ShctlError):
    """A path or a method that does not exist."""

    def __init__(self, status: HTTPStatus, **headers: str) -> None:
        super().__init__(status.description)
        self.status = status
        self.title = status.phrase
        self.headers = headers


class WrongEncoding(ShctlError):
    """A body that is compressed, or changed in another way."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    title = "Unsupported content encoding"
    # RFC 9110, 15.5.16
    headers = {"Accept-Encoding": "identity"}  # noqa: RUF012


class Admission:
    """The check of one listener's requests against the table of routes."""

    def __init__(self, gate: Gate, rows: Iterable[Row]) -> None:
        self._gate = gate
        self._router = bottle.Router()
        self._methods: set[str] = set()
        for row in rows:
            self._router.add(row.path, row.method, row)
            self._methods.add(row.method)

    def admit(self, exchange: Exchange) -> Row:
        """Return the row that a request is for, and note it and its caller; raise the refusal."""
        environ = exchange.environ
        row, names = self._find(environ["REQUEST_METHOD"], exchange.path)
        # Which paths exist is for those to know who may read.
        scope = row.scope if row else "read"
        exchange.route = row.path if row else ""
        self._gate.check_browser(environ)
        exchange.caller = self._gate.recognise(environ, scope)
        check_scope(exchange.caller, scope)
        if row is None:
            raise self._missing(exchange.path)
        if isinstance(row, Route):
            exchange.what = {"command": row.command, **names}
            if row.has_body:
                _check_body(environ)
        return row

    def _find(self, method: str, path: str) -> tuple[Row | None, dict[str, str]]:
        try:
            row, names = self._router.match({"REQUEST_METHOD": method, "PATH_INFO": path})
        except bottle.HTTPError:
            return None, {}
        return row, names

    def _missing(self, path: str) -> NoRoute:
        allowed = {method for method in self._methods if self._find(method, path)[0]}
        if not allowed:
            return NoRoute(HTTPStatus.NOT_FOUND)
        allowed |= {"HEAD"} if "GET" in allowed else set()
        return NoRoute(HTTPStatus.METHOD_NOT_ALLOWED, Allow=", ".join(sorted(allowed)))


def _check_body(environ: dict[str, Any]) -> None:
    """Refuse by its header a body that would be refused anyway."""
    encoding = environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise WrongEncoding("Content-Encoding: send the body as it is, not compressed")
    length = environ.get("CONTENT_LENGTH", "")
    if not length.isdecimal() or not int(length):
        return
    parsing.check_content_type(environ.get("CONTENT_TYPE", ""))
    if int(length) > parsing.MAX_BODY:
        raise InvalidInput(f"the body is longer than {parsing.MAX_BODY} bytes")
