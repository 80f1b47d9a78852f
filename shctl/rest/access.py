"""Who may come in: tokens and their scopes, the rate of failures, and what browsers tell."""

import ipaddress
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shctl.common import token_file
from shctl.common.errors import ShctlError
from shctl.common.model import Token

PUBLIC = "public"
FAILURES = 10
WINDOW = 60.0  # seconds
_MOST_ADDRESSES = 10_000


class Refused(ShctlError):
    """A request that is turned away, with header fields that say what would help."""

    status = 403
    title = "Not allowed"

    def __init__(self, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Unknown(Refused):
    """No credentials, or wrong ones."""

    status = 401
    title = "Credentials needed"


class TooMany(Refused):
    """Too many wrong credentials from one address."""

    status = 429
    title = "Too many failures"


@dataclass(frozen=True)
class Caller:
    """Who sends a request: a token's name, or the Unix user at the other end of a socket."""

    who: str
    scope: str


class Gate:
    """The check at one listener.

    `trusted` is for Unix sockets, whose file permissions have decided already. `names` are those
    by which clients may call the server besides its addresses, localhost and its host name.
    """

    def __init__(self, *, trusted: bool, names: tuple[str, ...] = ()) -> None:
        self.trusted = trusted
        own = socket.gethostname()
        self._names = {n.lower() for n in (*names, "localhost", own, own.partition(".")[0])}
        self._failures = Failures()

    def check_browser(self, environ: Mapping[str, Any]) -> None:
        """Refuse what only a foreign web page makes a browser send.

        A page whose name was bound anew to our address shows in Host, any other in Origin or
        Sec-Fetch-Site.
        """
        host = environ.get("HTTP_HOST", "")
        # HTTP/1.0 has no Host. Load balancers' checks speak it; no browser does.
        bare = "HTTP_HOST" not in environ and environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        if not (self.trusted or bare or self._is_ours(host)):
            raise Refused("Host: not a name of this server; 'shctl serve --allow-host' adds one")
        origin = environ.get("HTTP_ORIGIN")
        if (
            origin is not None
            and origin.lower() != f"{environ['wsgi.url_scheme']}://{host.lower()}"
        ):
            raise Refused("Origin: pages of other sites may not use this server")
        if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
            raise Refused("Sec-Fetch-Site: pages of other sites may not use this server")

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name.lower().rstrip(".") in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def recognise(self, environ: Mapping[str, Any], scope: str) -> Caller:
        """Return who is calling for something that needs this scope; raise Refused."""
        if self.trusted:
            return Caller(environ.get("REMOTE_ADDR", "local"), "admin")
        if scope == PUBLIC:
            return Caller("anyone", PUBLIC)
        token = self._token(environ)
        return Caller(f"token {token.name}", token.scope)

    def _token(self, environ: Mapping[str, Any]) -> Token:
        kind, _, secret = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() == "bearer" and (token := token_file.find(secret.strip())):
            # Not even after failures is a good token turned away: nobody guesses 256 bits, and
            # whoever shares the client's address could lock it out.
            return token
        if wait := self._failures.add(_network(environ.get("REMOTE_ADDR", ""))):
            raise TooMany("too many failures from this address", Retry_After=str(wait))
        raise Unknown(
            "a valid token is needed: 'Authorization: Bearer ...'; 'shctl tokens create' makes one",
            WWW_Authenticate='Bearer realm="shctl"',
        )


def check_scope(caller: Caller, scope: str) -> None:
    """Raise Refused unless a caller may do what needs this scope."""
    order = (PUBLIC, *token_file.SCOPES)
    if order.index(caller.scope) < order.index(scope):
        raise Refused(f"this needs the scope {scope}; {caller.who} has {caller.scope}")


class Failures:
    """The times of failures in the last minute, by address; of very many the latest are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def add(self, address: str) -> int:
        """Count a failure; return how many seconds to wait once there are too many, else 0."""
        now = time.monotonic()
        with self._lock:
            # The event loop counts, so it looks through no more than one; who came last is last.
            times = self._times.pop(address, None) or deque(maxlen=FAILURES)
            if len(self._times) >= _MOST_ADDRESSES:
                del self._times[next(iter(self._times))]
            self._times[address] = times
            oldest = times[0] if len(times) == FAILURES else now - WINDOW
            if now - oldest < WINDOW:
                return int(WINDOW - (now - oldest)) + 1
            times.append(now)
            return 0


def _network(address: str) -> str:
    """Return what stands for one client: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))
