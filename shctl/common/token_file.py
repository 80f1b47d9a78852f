"""The file of access tokens for the REST server.

A token has 256 random bits, so no dictionary contains it, and one round of SHA-256 protects it. A
slow hash would only let clients without a token keep the server busy.
"""

import json
import secrets
import stat
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Any

from shctl.common import locks
from shctl.common.atomic import write_atomically
from shctl.common.clock import now
from shctl.common.errors import Conflict, InstallFailed, NotFound, ShctlError
from shctl.common.model import NewToken, Outcome, Token

PATH = Path("/var/lib/shctl/tokens.json")
_TICK = 1_000_000_000  # nanoseconds
_cache: dict[str, Any] = {}  # the file's content when it was last read
PREFIX = "shctl_"  # lets scanners for leaked secrets identify it
# Each scope includes the previous ones.
SCOPES = ("read", "power", "admin")


@dataclass(frozen=True)
class _Stored:
    scope: str
    created: str
    expires: str | None
    sha256: str


def create(name: str, scope: str, days: int | None = None, path: Path = PATH) -> NewToken:
    """Create a token that expires after `days`, or never; raise Conflict if its name exists."""
    secret = PREFIX + secrets.token_urlsafe(32)
    expires = now(days * 86400) if days else None
    with locks.hold("file", "tokens"):
        stored = _read(path)
        if name in stored:
            raise Conflict(
                f"token {name!r} already exists; 'shctl tokens delete {name}' removes it"
            )
        stored[name] = _Stored(scope, now(), expires, _digest(secret))
        _write(path, stored)
    return NewToken(name, scope, expires, secret)


def delete(name: str, path: Path = PATH, *, if_exists: bool = False) -> Outcome:
    """Revoke a token; raise NotFound."""
    with locks.hold("file", "tokens"):
        stored = _read(path)
        if name not in stored and if_exists:
            return Outcome(name, "does not exist")
        if name not in stored:
            raise NotFound(f"no token {name!r}; 'shctl tokens list' shows all")
        del stored[name]
        _write(path, stored)
    return Outcome(name, "deleted")


def preview(name: str, path: Path = PATH, *, if_exists: bool = False) -> str | None:
    """Return a text for the token to delete, or None; raise NotFound without `if_exists`."""
    token = _read(path).get(name)
    if token is None and not if_exists:
        raise NotFound(f"no token {name!r}; 'shctl tokens list' shows all")
    return f"{name}: scope {token.scope}" if token else None


def tokens(path: Path = PATH) -> list[Token]:
    """Return all tokens, sorted by name, without their secrets."""
    return [_public(name, stored) for name, stored in sorted(_read(path).items())]


def find(secret: str, path: Path = PATH) -> Token | None:
    """Return the token of a secret, or None if it is unknown or has expired.

    The file's status is checked each time, so that a deletion takes effect at once.
    """
    digest, found = _digest(secret), None
    for name, stored in _latest(path).items():
        # Constant time: every token is compared.
        if compare_digest(stored.sha256, digest) and not _has_expired(stored):
            found = _public(name, stored)
    return found


def _public(name: str, stored: _Stored) -> Token:
    state = "expired" if _has_expired(stored) else "valid"
    return Token(name, stored.scope, state, stored.created, stored.expires)


def _has_expired(stored: _Stored) -> bool:
    return stored.expires is not None and stored.expires <= now()


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def check_private(path: Path) -> None:
    """Raise ShctlError if anyone but its owner may read or write a file."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ShctlError(f"{path} has mode {mode:04o} and must be private; run 'chmod 600 {path}'")


def _latest(path: Path) -> dict[str, _Stored]:
    """Return the file's tokens, and read it only after a change.

    A thousand tokens take 6 ms to read, and every request with a wrong token needs them.
    """
    try:
        status = path.stat()
    except OSError:
        return _read(path)
    mark = (path, status.st_ino, status.st_size, status.st_mode, status.st_ctime_ns)
    if _cache.get("mark") != mark:
        entries = _read(path)
        # A second change in the same tick of the file system's clock leaves the status as it is.
        final = abs(time.time_ns() - status.st_ctime_ns) > _TICK
        _cache.update(mark=mark if final else None, entries=entries)
        return entries
    cached: dict[str, _Stored] = _cache["entries"]
    return cached


def _read(path: Path) -> dict[str, _Stored]:
    try:
        check_private(path)
        entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {name: _Stored(**entry) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ShctlError(f"cannot read tokens from {path}: {error}") from error


def _write(path: Path, stored: dict[str, _Stored]) -> None:
    entries = {name: asdict(token) for name, token in stored.items()}
    try:
        with write_atomically(path, mode=0o600) as stream:
            stream.write(json.dumps(entries, indent=2).encode())
    except InstallFailed as error:  # the right message, but the exit code of installations
        raise ShctlError(error.detail) from error
