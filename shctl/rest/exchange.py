"""What the server knows of one request and its response."""

import secrets
import time
from collections.abc import Mapping
from typing import Any

from shctl.rest.access import Caller


class Exchange:
    """A request, with its caller and its response's status once they are known.

    `audit` has the command and its parameters for the log, `keys` the JSON keys of its options.
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
        self.status = 0
        # Once: a request that the server gave up at its end may still end itself.
        self.logged = False

    @property
    def seconds(self) -> float:
        """Return the time since the request came."""
        return time.monotonic() - self.started
