"""Check and join the URLs of installation trees, and redact their passwords."""

import re
import stat
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from shctl.common.errors import InvalidInput

CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def redact(url: str) -> str:
    """Return a URL for messages and logs: no user, password, query or control characters."""
    try:
        parts = urlsplit(CONTROL.sub("_", url))
    except ValueError:
        return "(not a URL)"
    host = parts.netloc.rpartition("@")[2]
    netloc = f"***@{host}" if "@" in parts.netloc else host
    query = "***" if parts.query else ""
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))


def has_credentials(url: str) -> bool:
    """Return whether a URL contains a user or a password."""
    return "@" in urlsplit(url).netloc


def parse_location(location: str, *, local: bool = False) -> str:
    """Return a location as the URL of a directory, ending with a slash.

    With `local`, a path or a file: URL is accepted too. Raise InvalidInput for anything else.
    """
    if not location:
        raise InvalidInput("location is empty; give the URL of a tree", field="location")
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", location)
    if scheme is None or scheme[0].lower() == "file:":
        return _parse_directory(location, local=local)
    if CONTROL.search(location):
        raise _refusal(location, "contains blanks or control characters; percent-encode them (%20)")
    try:
        parts = urlsplit(location)
        _ = parts.port  # raises ValueError for an invalid one
    except ValueError as error:
        raise _refusal(location, f"is not a URL ({error})") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refusal(location, "is not a URL of a tree; give an http:// or https:// URL")
    if parts.query or parts.fragment:
        raise _refusal(location, "has a query or fragment; give the URL of the tree's directory")
    # A query or fragment that is empty is still in the text: "http://host/os?".
    return location.rstrip("/?#") + "/"


def join(base: str, path: str) -> str:
    """Return the URL of a file; `path` is relative to the directory `base`."""
    return base + quote(path, safe="/+~@=,:!")


def local_path(url: str) -> Path | None:
    """Return the path of a file: URL, None for other URLs."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def follow(url: str, target: str) -> str | None:
    """Return the URL that a redirect from `url` leads to, None if it must not be followed.

    Only http and https are followed, and never from https to http.
    """
    try:
        joined = urljoin(url, target)
        parts = urlsplit(joined)
        usable = bool(parts.hostname) and not CONTROL.search(joined)
    except ValueError:
        return None
    allowed = ("https",) if urlsplit(url).scheme == "https" else ("http", "https")
    return joined if usable and parts.scheme in allowed else None


def is_inside(path: str) -> bool:
    """Return whether a path is relative and stays below the directory that it is relative to."""
    names = path.split("/")
    # Some programs read a backslash as a slash, and what is before a colon as a scheme.
    odd = re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]|^[A-Za-z][A-Za-z0-9+.-]*:", path)
    return odd is None and not any(name in ("", ".", "..") for name in names)


def _parse_directory(location: str, *, local: bool) -> str:
    if not local:
        raise _refusal(location, "is not a URL of a tree; give an http:// or https:// URL")
    parts = urlsplit(location)
    if parts.scheme and parts.netloc not in ("", "localhost"):
        raise _refusal(location, "is on another machine; give an http:// URL")
    path = Path(unquote(parts.path) if parts.scheme else location)
    if not _is_directory(path, location):
        raise _refusal(location, "is not a directory; give one, or mount the image first")
    return path.resolve().as_uri().rstrip("/") + "/"


def _is_directory(path: Path, location: str) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        raise _refusal(location, f"cannot be read: {error.strerror}") from error


def _refusal(location: str, reason: str) -> InvalidInput:
    return InvalidInput(f"location {redact(location)} {reason}", field="location")
