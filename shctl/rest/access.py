"""Authentication and authorization: tokens and their scopes, and headers that browsers send."""

import ipaddress
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Any

from shctl.common import paths, token_file
from shctl.common.errors import ShctlError
from shctl.common.model import Token
from shctl.common.token_file import StoredToken

PUBLIC = "public"
# Each scope includes the previous ones.
SCOPES = ("read", "power", "admin")
MAX_FAILURES = 10  # for each address in each window
WINDOW = 60.0  # seconds
_MAX_ADDRESSES = 10_000
_TICK = 1_000_000_000  # nanoseconds
_cache: dict[str, Any] = {}  # the token file's content when it was last read


class AccessDenied(ShctlError):
    """A request is refused; `headers` are those of the response."""

    status = 403
    code = "not_allowed"
    title = "Not allowed"

    def __init__(self, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Unauthenticated(AccessDenied):
    """No credentials, or wrong ones."""

    status = 401
    code = "unauthenticated"
    title = "Credentials needed"


class TooManyFailures(AccessDenied):
    """Too many wrong credentials from one address."""

    status = 429
    code = "too_many_failures"
    title = "Too many failures"


@dataclass(frozen=True)
class Caller:
    """Who sends a request: `who` is "token NAME" or, on a Unix socket, "uid NUMBER"."""

    who: str
    scope: str


class Authenticator:
    """Checks the callers of one listener.

    `trusted` is for Unix sockets, whose file permissions decide who may connect. `names` are
    accepted in Host, in addition to IP addresses, localhost and the machine's host name.
    """

    def __init__(self, *, trusted: bool, names: tuple[str, ...] = ()) -> None:
        self.trusted = trusted
        own = socket.gethostname()
        self._names = {n.lower() for n in (*names, "localhost", own, own.partition(".")[0])}
        self._failures = Failures()

    def check_browser(self, environ: Mapping[str, Any]) -> None:
        """Raise AccessDenied for requests that a web page of another site makes a browser send.

        DNS rebinding shows in Host (the page's name now resolves to this server's address), other
        cross-site requests in Origin or Sec-Fetch-Site.
        """
        host = environ.get("HTTP_HOST", "")
        # HTTP/1.0 requires no Host. Load balancers' health checks use it; no browser does.
        without_host = "HTTP_HOST" not in environ and environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        if not (self.trusted or without_host or self._is_own_name(host)):
            raise AccessDenied(
                "Host: not a name of this server; 'shctl serve --allow-host' adds one"
            )
        origin = environ.get("HTTP_ORIGIN")
        if (
            origin is not None
            and origin.lower() != f"{environ['wsgi.url_scheme']}://{host.lower()}"
        ):
            raise AccessDenied("Origin: web pages of other sites may not use this server")
        if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
            raise AccessDenied("Sec-Fetch-Site: web pages of other sites may not use this server")

    def _is_own_name(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name.lower().rstrip(".") in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def authenticate(self, environ: Mapping[str, Any], scope: str) -> Caller:
        """Return the caller of a route that needs this scope; raise AccessDenied."""
        if self.trusted:
            return Caller(environ.get("REMOTE_ADDR", "local"), "admin")
        if scope == PUBLIC:
            return Caller("anyone", PUBLIC)
        token = self._token(environ)
        return Caller(f"token {token.name}", token.scope)

    def is_allowed(self, environ: Mapping[str, Any], caller: Caller, scope: str) -> bool:
        """Return whether the caller of a response that goes on may still read it."""
        if self.trusted:
            return True
        token = find_token(_secret(environ))
        if token is None or f"token {token.name}" != caller.who:
            return False
        order = (PUBLIC, *SCOPES)
        return order.index(token.scope) >= order.index(scope)

    def _token(self, environ: Mapping[str, Any]) -> Token:
        secret = _secret(environ)
        if secret and (token := find_token(secret)):
            # Failures never block a valid token: 256 bits cannot be guessed, and other clients
            # of the same address could lock its owner out.
            return token
        if wait := self._failures.add(_network(environ.get("REMOTE_ADDR", ""))):
            raise TooManyFailures(
                f"{MAX_FAILURES} requests with wrong credentials in a minute from this address;"
                f" try again in {wait} s",
                Retry_After=str(wait),
            )
        raise Unauthenticated(
            "send a valid token in 'Authorization: Bearer TOKEN';"
            " create one with 'shctl tokens create'",
            WWW_Authenticate='Bearer realm="shctl"',
        )


def _secret(environ: Mapping[str, Any]) -> str:
    """Return the secret of a bearer token in a request; "" without one."""
    kind, _, secret = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return str(secret.strip()) if kind.lower() == "bearer" else ""


def authorize(caller: Caller, scope: str) -> None:
    """Raise AccessDenied unless a caller's scope includes the one that a route needs."""
    order = (PUBLIC, *SCOPES)
    if order.index(caller.scope) < order.index(scope):
        raise AccessDenied(
            f"this requires scope {scope}, and {caller.who} has scope {caller.scope}"
        )


def find_token(secret: str, path: Path | None = None) -> Token | None:
    """Return the token of a secret, or None if it is unknown or has expired.

    The file's status is checked each time, so that a deletion takes effect at once.
    """
    digest, found = token_file.digest(secret), None
    for name, stored in _load_tokens(path or paths.tokens()).items():
        # Constant time: every token is compared.
        if compare_digest(stored.sha256, digest) and not stored.has_expired:
            found = stored.named(name)
    return found


def _load_tokens(path: Path) -> dict[str, StoredToken]:
    """Return the file's tokens, and read it only after a change.

    A thousand tokens take 6 ms to read, and every request with a wrong token needs them.
    """
    try:
        status = path.stat()
    except OSError:
        return token_file.load(path)
    mark = (path, status.st_ino, status.st_size, status.st_mode, status.st_ctime_ns)
    if _cache.get("mark") != mark:
        tokens = token_file.load(path)
        # A second change in the same tick of the file system's clock leaves the status as it is.
        final = abs(time.time_ns() - status.st_ctime_ns) > _TICK
        _cache.update(mark=mark if final else None, tokens=tokens)
        return tokens
    cached: dict[str, StoredToken] = _cache["tokens"]
    return cached


class Failures:
    """Counts authentication failures in the last minute by address, of 10,000 addresses at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def add(self, address: str) -> int:
        """Count a failure; return 0, or the seconds to wait once there are too many."""
        now = time.monotonic()
        with self._lock:
            # This runs in the event loop, so nothing is searched. A dictionary keeps the order of
            # insertion; pop and insert make this address the newest.
            times = self._times.pop(address, None) or deque(maxlen=MAX_FAILURES)
            if len(self._times) >= _MAX_ADDRESSES:
                del self._times[next(iter(self._times))]
            self._times[address] = times
            oldest = times[0] if len(times) == MAX_FAILURES else now - WINDOW
            if now - oldest < WINDOW:
                return int(WINDOW - (now - oldest)) + 1
            times.append(now)
            return 0


def _network(address: str) -> str:
    """Return an IPv4 address, or the /64 of an IPv6 one, of which a client may have all."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))
