"""Tokens: who may do what over the network.

A token is 256 random bits, so there is no dictionary to try and one round of SHA-256 hides it for
good; a slow hash would only let strangers keep the server busy.
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
_seen: dict[str, Any] = {}  # what the file held when it was read last
PREFIX = "shctl_"  # lets scanners for leaked secrets recognise it
# Each one includes those before it.
SCOPES = ("read", "power", "admin")


@dataclass(frozen=True)
class _Stored:
    scope: str
    created: str
    expires: str | None
    sha256: str


def create(name: str, scope: str, days: int | None = None, path: Path = PATH) -> NewToken:
    """Make a token that ends in so many days, or never; raise Conflict when its name is taken."""
    secret = PREFIX + secrets.token_urlsafe(32)
    expires = now(days * 86400) if days else None
    with locks.hold("file", "tokens"):
        stored = _read(path)
        if name in stored:
            raise Conflict(f"token {name!r} exists already; 'shctl tokens delete {name}' ends it")
        stored[name] = _Stored(scope, now(), expires, _digest(secret))
        _write(path, stored)
    return NewToken(name, scope, expires, secret)


def delete(name: str, path: Path = PATH, *, if_exists: bool = False) -> Outcome:
    """End a token at once; raise NotFound."""
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
    """Return what a deletion would end, in words; None where nothing is, else raise NotFound."""
    token = _read(path).get(name)
    if token is None and not if_exists:
        raise NotFound(f"no token {name!r}; 'shctl tokens list' shows all")
    return f"{name}: scope {token.scope}" if token else None


def tokens(path: Path = PATH) -> list[Token]:
    """Return all tokens, sorted by name, without their secrets."""
    return [_public(name, stored) for name, stored in sorted(_read(path).items())]


def find(secret: str, path: Path = PATH) -> Token | None:
    """Return the token that a secret belongs to, None for an unknown or expired one.

    The file is looked at each time, so that a deletion counts at once.
    """
    digest, found = _digest(secret), None
    for name, stored in _latest(path).items():
        # All are compared, so that the time says nothing about which one was near.
        if compare_digest(stored.sha256, digest) and not _is_over(stored):
            found = _public(name, stored)
    return found


def _public(name: str, stored: _Stored) -> Token:
    state = "expired" if _is_over(stored) else "valid"
    return Token(name, stored.scope, state, stored.created, stored.expires)


def _is_over(stored: _Stored) -> bool:
    return stored.expires is not None and stored.expires <= now()


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def check_private(path: Path) -> None:
    """Raise ShctlError when others than its owner may read or write a file."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ShctlError(f"{path} has the mode {mode:04o}; 'chmod 600 {path}' makes it private")


def _latest(path: Path) -> dict[str, _Stored]:
    """Return what the file holds; it is read only when it has changed.

    A thousand tokens take 6 ms to read, and whoever comes with a wrong one makes the server look.
    """
    try:
        status = path.stat()
    except OSError:
        return _read(path)
    mark = (path, status.st_ino, status.st_size, status.st_mode, status.st_ctime_ns)
    if _seen.get("mark") != mark:
        entries = _read(path)
        # Another change in the same tick of the file system's clock would not show.
        settled = abs(time.time_ns() - status.st_ctime_ns) > _TICK
        _seen.update(mark=mark if settled else None, entries=entries)
        return entries
    kept: dict[str, _Stored] = _seen["entries"]
    return kept


def _read(path: Path) -> dict[str, _Stored]:
    try:
        check_private(path)
        entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {name: _Stored(**entry) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ShctlError(f"cannot read the tokens in {path}: {error}") from error


def _write(path: Path, stored: dict[str, _Stored]) -> None:
    entries = {name: asdict(token) for name, token in stored.items()}
    try:
        with write_atomically(path, mode=0o600) as stream:
            stream.write(json.dumps(entries, indent=2).encode())
    except InstallFailed as error:  # its words are right, its exit code is an installation's
        raise ShctlError(error.detail) from error
