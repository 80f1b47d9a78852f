"""What the server writes down of requests: one JSON object a line, see logs.

`log` tells them apart: "request" for each request, "audit" for each change and each refusal, and
the names of libraries. No line holds a secret: headers, queries and free text are not written.
"""

import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import click

from shctl.commands.types import CheckedName
from shctl.rest.access import Caller

Fields = Mapping[str, Any]
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)


class Exchange:
    """A request and what is known of it so far.

    `what` is the command and its parameters, `keys` what its options are called in JSON.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        self.id = secrets.token_hex(8)
        self.began = time.monotonic()
        self.route = ""
        self.caller = Caller("nobody", "")
        self.what: dict[str, Any] = {}
        self.keys: Mapping[str, str] = {}
        self.status = 0
        self.written = False

    @property
    def seconds(self) -> float:
        """Return the time since it came."""
        return time.monotonic() - self.began


def write_down(exchange: Exchange) -> None:
    """Write down, once, that a request was answered, and what was changed or refused."""
    if exchange.written:
        return
    exchange.written = True
    told = {
        "request": exchange.id,
        "who": exchange.caller.who,
        "from": exchange.environ.get("REMOTE_ADDR", ""),
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
    }
    _write("request", {**told, "seconds": round(exchange.seconds, 4)})
    is_change = bool(exchange.route) and exchange.method not in ("GET", "HEAD")
    if is_change or exchange.status in _REFUSALS:
        _write("audit", {**told, **exchange.what})


def log_aborted(exchanges: Iterable[Exchange]) -> None:
    """Log the requests that were still running when the server stopped."""
    for exchange in list(exchanges):
        exchange.status = HTTPStatus.SERVICE_UNAVAILABLE
        write_down(exchange)


def log_refused_upgrade(client: str, path: str) -> None:
    """Log that a client asked for another protocol, such as WebSocket."""
    told = {"who": "nobody", "from": client, "method": "GET", "path": path}
    _write("audit", {**told, "status": HTTPStatus.FORBIDDEN})


def _write(log: str, fields: Fields) -> None:
    logging.getLogger(log).info("", extra={"fields": fields})


def failure(request_id: str) -> None:
    """Write down the exception at hand, which the client does not get to see."""
    logging.getLogger("server").error("", extra={"fields": {"request": request_id}}, exc_info=True)


def speakable(params: Mapping[str, click.Parameter], values: Fields) -> dict[str, Any]:
    """Return the values with free text left out: kernel command lines hold passwords."""
    return {name: v if _is_plain(params[name]) else "(not logged)" for name, v in values.items()}


def _is_plain(param: click.Parameter) -> bool:
    kinds = (CheckedName, click.Choice, click.IntRange, click.FloatRange)
    return isinstance(param.type, kinds) or (isinstance(param, click.Option) and param.is_flag)
