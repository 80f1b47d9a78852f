"""What the server knows of one request and its response."""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from shctl.common.stream import Stream
from shctl.rest.access import Caller


class Exchange:
    """A request, with its caller and its response's status once they are known.

    `stream` is what the response goes on with, and `is_allowed` whether its caller still may read
    it. `audit` has the command and its parameters for the log, `keys` the JSON keys of its options.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        # WSGI's strings are bytes in Latin-1 (PEP 3333).
        self.path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        self.id = secrets.token_hex(8)
        self.started = time.monotonic()
        self.route = ""  # the path in the table, with placeholders
        self.caller = Caller("nobody", "")
        self.audit: dict[str, Any] = {}
        self.keys: Mapping[str, str] = {}
        self.stream: Stream[Any] | None = None
        self.end: Callable[[], object] = lambda: None  # of the stream
        self.is_allowed: Callable[[], bool] = lambda: True
        self.status = 0
        # Once: a request that the server gave up at its end may still end itself.
        self.logged = False

    @property
    def last_event(self) -> str | None:
        """Return the ID of the last event that an EventSource has."""
        found: str | None = self.environ.get("HTTP_LAST_EVENT_ID")
        return found

    @property
    def seconds(self) -> float:
        """Return the time since the request came."""
        return time.monotonic() - self.started
