"""Build responses: data as JSON or text, errors as problem details (RFC 9457)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import bottle

from shctl.common.errors import ShctlError
from shctl.common.model import Part, Planned
from shctl.common.output import as_bytes, to_json
from shctl.rest.route import Route

JSON = "application/json"
PROBLEM = "application/problem+json"
TEXT = "text/plain; charset=utf-8"
# For browsers: never store, render or embed a response of any type.
_PROTECTION = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Existing:
    """The data of a creation whose host or network already exists (--if-not-exists)."""

    data: Any


def reply(status: int, text: str | bytes, media_type: str, **headers: str) -> bottle.HTTPResponse:
    """Return a response; Content_Type=... sets the header Content-Type."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    # Names that other tools gave hosts may contain lone surrogates.
    body = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    return bottle.HTTPResponse(body, status, {**_PROTECTION, "Content-Type": media_type, **named})


def data(status: int, value: Any) -> bottle.HTTPResponse:
    """Return data as JSON, or the lines of an iterator as plain text."""
    if isinstance(value, Iterator):
        return reply(status, b"".join(map(as_bytes, value)), TEXT)
    return reply(status, f"{to_json(value, indent=None)}\n", JSON)


def success(route: Route, path: Mapping[str, str], value: Any) -> bottle.HTTPResponse:
    """Return the response of a route whose command succeeded; `path` has its placeholders."""
    if plan := _as_plan(value):
        return data(HTTPStatus.OK, plan)
    # Their commands return a result for people to read, which REST leaves out.
    if route.status == HTTPStatus.NO_CONTENT:
        return bottle.HTTPResponse("", 204, dict(_PROTECTION))
    existed = isinstance(value, Existing)
    response = data(HTTPStatus.OK, value.data) if existed else data(route.status, value)
    if route.status == HTTPStatus.CREATED:
        response.set_header("Location", _location(route, path, value))
    return response


def _location(route: Route, path: Mapping[str, str], value: Any) -> str:
    """Return the path of the host or network that was made, or of the part that was added."""
    if isinstance(value, Part):
        return f"{route.fill(path)}/{quote(value.key, safe='')}"
    return f"/{route.command.split()[0]}/{quote(path['name'], safe='')}"


def _as_plan(value: Any) -> Planned | None:
    """Return the plan that a dry run returned, alone or as a list of one; None for other data."""
    only = value[0] if isinstance(value, list) and len(value) == 1 else value
    return only if isinstance(only, Planned) else None


def problem(
    error: ShctlError, rewrite: Callable[[str], str] = str, **headers: str
) -> bottle.HTTPResponse:
    """Return an error as problem details; `rewrite` makes its text one for clients of REST."""
    more: dict[str, str] = getattr(error, "headers", {})
    fields = {**error.problem(), "detail": rewrite(error.detail)}
    body = f"{to_json(fields, indent=None)}\n"
    response = reply(error.status, body, PROBLEM, **headers)
    for name, value in more.items():
        response.set_header(name, value)
    # Most of these pass quickly: a full queue, or libvirtd restarting.
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.set_header("Retry-After", "1")
    return response
