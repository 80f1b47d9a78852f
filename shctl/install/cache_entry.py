"""The two files of a cache entry: the data, and a JSON sidecar that describes it."""

import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path

from shctl.common.atomic import write_atomically
from shctl.install.checksums import Checksum
from shctl.install.http.results import Received

_MODE = 0o644


@dataclass(frozen=True)
class Sidecar:
    """Where the data came from (a redacted URL), and what was received."""

    url: str
    received: Received


def is_untouched(path: Path) -> bool:
    """Return whether an entry's files have write_atomically()'s owner and mode, and one link."""
    try:
        facts = [os.lstat(path), os.lstat(path.with_suffix(".json"))]
    except OSError:
        return False
    return all(
        (found.st_mode, found.st_uid, found.st_nlink) == (stat.S_IFREG | _MODE, os.geteuid(), 1)
        for found in facts
    )


def is_intact(path: Path, received: Received, checksum: Checksum | None) -> bool:
    """Return whether the data at path is what was received, and matches a checksum."""
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size != received.length:
                return False
            is_received = _digest(stream, "sha256") == received.sha256
            return is_received and (checksum is None or _matches(stream, received, checksum))
    except OSError:
        return False


def _matches(stream: BufferedReader, received: Received, checksum: Checksum) -> bool:
    if checksum.algorithm == "sha256":
        return received.sha256 == checksum.value
    return _digest(stream, checksum.algorithm) == checksum.value


def _digest(stream: BufferedReader, algorithm: str) -> str:
    stream.seek(0)
    return hashlib.file_digest(stream, algorithm).hexdigest()


def read_sidecar(path: Path) -> Sidecar | None:
    """Return the sidecar of the data at path, None if it is missing or invalid."""
    try:
        content = json.loads(path.with_suffix(".json").read_bytes())
        received = Received(**content["received"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):  # the last: nested JSON
        return None
    # They become headers of a request.
    validators = (received.etag, received.last_modified)
    usable = all(value is None or isinstance(value, str) for value in validators)
    return Sidecar(str(content.get("url")), received) if usable else None


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write the sidecar of the data at path; raise NoSpace, InstallFailed."""
    with write_atomically(path.with_suffix(".json")) as stream:
        stream.write(json.dumps(asdict(sidecar)).encode())


def unlink(path: Path) -> None:
    """Remove an entry's files; other hard links to them stay."""
    # The sidecar first: after a kill, data without a sidecar is a leftover that is never used.
    path.with_suffix(".json").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
