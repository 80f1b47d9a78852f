"""Log requests, one JSON object a line, see logs.

The log "request" has a line for each request, "audit" one for each change and each refusal. They
contain no secrets: headers, queries and free text are not logged.
"""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import click

from shctl.commands.types import CheckedName
from shctl.rest.exchange import Exchange

Fields = Mapping[str, Any]
# These are in the audit log even for requests that change nothing.
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)


def log_request(exchange: Exchange) -> None:
    """Log a finished request, and in the audit log its change or refusal; once for each request."""
    if exchange.logged:
        return
    exchange.logged = True
    fields = {
        "request": exchange.id,
        "who": exchange.caller.who,
        "from": exchange.environ.get("REMOTE_ADDR", ""),
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
    }
    _write("request", {**fields, "seconds": round(exchange.seconds, 4)})
    is_change = bool(exchange.route) and exchange.method not in ("GET", "HEAD")
    if is_change or exchange.status in _REFUSALS:
        _write("audit", {**fields, **exchange.audit})


def log_aborted(exchanges: Iterable[Exchange]) -> None:
    """Log the requests that were still running when the server stopped."""
    # A copy, because requests may still end while this runs.
    for exchange in list(exchanges):
        exchange.status = HTTPStatus.SERVICE_UNAVAILABLE
        log_request(exchange)


def log_refused_upgrade(client: str, path: str) -> None:
    """Log that a client asked for another protocol, such as WebSocket."""
    fields = {"who": "nobody", "from": client, "method": "GET", "path": path}
    _write("audit", {**fields, "status": HTTPStatus.FORBIDDEN})


def _write(log: str, fields: Fields) -> None:
    # logs.JsonFormatter writes the fields; there is no message.
    logging.getLogger(log).info("", extra={"fields": fields})


def log_failure(request_id: str) -> None:
    """Log the current exception with its traceback, which the response does not contain."""
    logging.getLogger("server").error("", extra={"fields": {"request": request_id}}, exc_info=True)


def redact_parameters(params: Mapping[str, click.Parameter], values: Fields) -> dict[str, Any]:
    """Return parameters without free text, such as kernel command lines with passwords."""
    return {name: v if _is_plain(params[name]) else "(not logged)" for name, v in values.items()}


def _is_plain(param: click.Parameter) -> bool:
    # Names, choices and numbers cannot hold a secret; all other texts may.
    kinds = (CheckedName, click.Choice, click.IntRange, click.FloatRange)
    return isinstance(param.type, kinds) or (isinstance(param, click.Option) and param.is_flag)
