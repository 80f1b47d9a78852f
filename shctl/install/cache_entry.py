"""The two files of an entry in the cache: the data, and the sidecar that says what they are."""

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
    """Where the data came from, its URL without secrets, and what came."""

    url: str
    received: Received


def is_untouched(path: Path) -> bool:
    """Tell whether an entry's files are as write_atomically makes them, and have no other names."""
    try:
        facts = [os.lstat(path), os.lstat(path.with_suffix(".json"))]
    except OSError:
        return False
    return all(
        (one.st_mode, one.st_uid, one.st_nlink) == (stat.S_IFREG | _MODE, os.geteuid(), 1)
        for one in facts
    )


def is_intact(path: Path, received: Received, checksum: Checksum | None) -> bool:
    """Tell whether the data at path are those that were received, and fit a checksum."""
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size != received.length:
                return False
            ours = _digest(stream, "sha256") == received.sha256
            return ours and (checksum is None or _fits(stream, received, checksum))
    except OSError:
        return False


def _fits(stream: BufferedReader, received: Received, checksum: Checksum) -> bool:
    if checksum.algorithm == "sha256":
        return received.sha256 == checksum.value
    return _digest(stream, checksum.algorithm) == checksum.value


def _digest(stream: BufferedReader, algorithm: str) -> str:
    stream.seek(0)
    return hashlib.file_digest(stream, algorithm).hexdigest()


def read_sidecar(path: Path) -> Sidecar | None:
    """Return the sidecar of the data at path, None where there is none or it makes no sense."""
    try:
        content = json.loads(path.with_suffix(".json").read_bytes())
        received = Received(**content["received"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    validators = (received.etag, received.last_modified)
    usable = all(value is None or isinstance(value, str) for value in validators)
    return Sidecar(str(content.get("url")), received) if usable else None


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write the sidecar of the data at path; raise NoSpace, InstallFailed."""
    with write_atomically(path.with_suffix(".json")) as stream:
        stream.write(json.dumps(asdict(sidecar)).encode())


def unlink(path: Path) -> None:
    """Remove the names of an entry's files; what else may have names of its own stays."""
    # The sidecar first: data without one is a leftover, a sidecar without data would be a lie.
    path.with_suffix(".json").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
