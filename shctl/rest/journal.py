"""What the server writes down: one JSON object a line on stderr, where journald picks it up.

`log` tells them apart: "request" for each request, "audit" for each change and each refusal, and
the names of libraries. No line holds a secret: headers, queries and free text are not written.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from shctl.command import CheckedName

Fields = Mapping[str, Any]


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "log": record.name}
        line |= record.__dict__.get("fields", {})
        if message := record.getMessage():
            line["message"] = message
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def start() -> None:
    """Send everything that is logged to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # It tells of every connection that breaks off, and strangers decide how many do.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def request(fields: Fields) -> None:
    """Write down that a request was answered."""
    logging.getLogger("request").info("", extra={"fields": fields})


def audit(fields: Fields) -> None:
    """Write down a change or a refusal."""
    logging.getLogger("audit").info("", extra={"fields": fields})


def failure(request_id: str) -> None:
    """Write down the exception at hand, which the client does not get to see."""
    logging.getLogger("server").error("", extra={"fields": {"request": request_id}}, exc_info=True)


def speakable(params: Mapping[str, click.Parameter], values: Fields) -> dict[str, Any]:
    """Return the values with free text left out: kernel command lines hold passwords."""
    return {name: v if _is_plain(params[name]) else "(not logged)" for name, v in values.items()}


def _is_plain(param: click.Parameter) -> bool:
    kinds = (CheckedName, click.Choice, click.IntRange, click.FloatRange)
    return isinstance(param.type, kinds) or (isinstance(param, click.Option) and param.is_flag)
