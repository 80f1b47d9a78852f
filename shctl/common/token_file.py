"""The file of access tokens for the REST server.

A token has 256 random bits, so no dictionary contains it, and one round of SHA-256 protects it. A
slow hash would only let clients without a token keep the server busy.
"""

import json
import secrets
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from shctl.common import locks, paths
from shctl.common.atomic import write_atomically
from shctl.common.clock import now
from shctl.common.errors import Conflict, InstallFailed, NotFound, ShctlError
from shctl.common.model import ChangePlan, NewToken, Outcome, PlannedStep, Token

PREFIX = "shctl_"  # lets scanners for leaked secrets identify it


@dataclass(frozen=True)
class StoredToken:
    """A token in the file; `created` and `expires` are in ISO 8601, in UTC."""

    scope: str
    created: str
    expires: str | None
    sha256: str

    @property
    def has_expired(self) -> bool:
        """Whether the token is no longer valid."""
        return self.expires is not None and self.expires <= now()

    def named(self, name: str) -> Token:
        """Return the token without its digest, as commands list it."""
        state = "expired" if self.has_expired else "valid"
        return Token(name, self.scope, state, self.created, self.expires)


def create(name: str, scope: str, days: int | None = None, path: Path | None = None) -> NewToken:
    """Create a token that expires after `days`, or never; raise Conflict if its name exists."""
    secret = PREFIX + secrets.token_urlsafe(32)
    expires = now(days * 86400) if days else None
    with locks.hold("file", "tokens"):
        stored = load(path or paths.tokens())
        _check_free(name, stored)
        stored[name] = StoredToken(scope, now(), expires, digest(secret))
        _write(path or paths.tokens(), stored)
    return NewToken(name, scope, expires, secret)


def delete(name: str, path: Path | None = None, *, if_exists: bool = False) -> Outcome:
    """Revoke a token; raise NotFound."""
    with locks.hold("file", "tokens"):
        stored = load(path or paths.tokens())
        if name not in stored and if_exists:
            return Outcome(name, "does not exist")
        if name not in stored:
            raise NotFound(f"no token {name!r}; 'shctl tokens list' shows all")
        del stored[name]
        _write(path or paths.tokens(), stored)
    return Outcome(name, "deleted")


def plan_creation(name: str, scope: str, path: Path | None = None) -> ChangePlan:
    """Return what create() would do; raise Conflict."""
    _check_free(name, load(path or paths.tokens()))
    text = f"Create token {name!r} of scope {scope}."
    return ChangePlan(name, (PlannedStep("create", f"token {name}", text),))


def plan_deletion(name: str, path: Path | None = None, *, if_exists: bool = False) -> ChangePlan:
    """Return what delete() would do; raise NotFound."""
    if preview(name, path, if_exists=if_exists) is None:
        return ChangePlan(name, ())
    return ChangePlan(name, (PlannedStep("delete", f"token {name}", f"Revoke token {name!r}."),))


def _check_free(name: str, stored: Mapping[str, StoredToken]) -> None:
    if name in stored:
        raise Conflict(f"token {name!r} already exists; 'shctl tokens delete {name}' removes it")


def preview(name: str, path: Path | None = None, *, if_exists: bool = False) -> str | None:
    """Return a text for the token to delete, or None; raise NotFound without `if_exists`."""
    token = load(path or paths.tokens()).get(name)
    if token is None and not if_exists:
        raise NotFound(f"no token {name!r}; 'shctl tokens list' shows all")
    return f"{name}: scope {token.scope}" if token else None


def tokens(path: Path | None = None) -> list[Token]:
    """Return all tokens, sorted by name, without their secrets."""
    return [stored.named(name) for name, stored in sorted(load(path or paths.tokens()).items())]


def digest(secret: str) -> str:
    """Return what the file stores instead of a secret."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def check_private(path: Path) -> None:
    """Raise ShctlError if anyone but its owner may read or write a file."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ShctlError(f"{path} has mode {mode:04o} and must be private; run 'chmod 600 {path}'")


def load(path: Path) -> dict[str, StoredToken]:
    """Return the file's tokens by name; none if there is no file."""
    try:
        check_private(path)
        entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {name: StoredToken(**entry) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ShctlError(f"cannot read tokens from {path}: {error}") from error


def _write(path: Path, stored: dict[str, StoredToken]) -> None:
    entries = {name: asdict(token) for name, token in stored.items()}
    try:
        with write_atomically(path, mode=0o600) as stream:
            stream.write(json.dumps(entries, indent=2).encode())
    except InstallFailed as error:  # the right message, but the exit code of installations
        raise ShctlError(error.detail) from error
