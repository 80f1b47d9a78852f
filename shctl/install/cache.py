"""A cache of kernels and initrds, keyed by URL, that asks the server before it answers.

An entry is KEY.data and KEY.json (the sidecar), KEY being the URL's SHA-256. Locks let any number
of processes work at once: one for each key while its entry changes, and a shared one on the data
while it is borrowed. An entry is used only while both files are as they were made: of our owner and
mode, and without other names, under which QEMU or another user may have written to them.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from shctl.common import files, locks
from shctl.common.atomic import TEMPORARY, make_directory, write_atomically, write_errors
from shctl.common.clock import stamp
from shctl.common.errors import Conflict
from shctl.common.model import Cached
from shctl.install.cache_entry import (
    Sidecar,
    is_intact,
    is_untouched,
    read_sidecar,
    unlink,
    write_sidecar,
)
from shctl.install.checksums import Checksum
from shctl.install.fetch import Client, Progress
from shctl.install.http.results import Received
from shctl.install.http.urls import redact

DIRECTORY = Path("/var/cache/shctl/trees")
MAX_BYTES = 4 << 30
MAX_ENTRIES = 32
KEY_LENGTH = 64
# See https://bford.info/cachedir/: backups skip such a directory, and clean-up dares to clean it.
TAG = "CACHEDIR.TAG"
# An entry's own files, and what they are written to before they take their names.
_ENTRY = r"[0-9a-f]{64}\.(?:data|json)"
_OURS = re.compile(rf"{_ENTRY}|\.(?:{_ENTRY}|{re.escape(TAG)})\..+{re.escape(TEMPORARY)}")
TAG_TEXT = b"Signature: 8a477f597d28d172789f06886806bc55\n# shctl's cache of installation trees\n"


@dataclass(frozen=True)
class Entry:
    """A cached file: its URL without secrets, size in bytes, last use in seconds since 1970."""

    url: str
    path: Path
    size: int
    last_use: float
    whole: bool


class Cache:
    """A directory of cached files, bounded in bytes and number."""

    def __init__(
        self,
        directory: Path = DIRECTORY,
        *,
        max_bytes: int = MAX_BYTES,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self.max_entries = max_entries

    @contextmanager
    def borrow(
        self,
        client: Client,
        url: str,
        *,
        checksum: Checksum | None = None,
        kernel: bool = False,
        initrd: bool = False,
        keep: Collection[Path] = (),
        progress: Progress | None = None,
    ) -> Iterator[Path]:
        """Yield the path of the file at url, fetched unless the server says it is unchanged.

        The file stays while the block lasts; keep holds the paths that hosts use beyond that. Raise
        as Client.download does, also when the server does not answer: a cache must not lie. Raise
        Conflict when another one fetches it for longer than a whole fetch may take.
        """
        path = self.directory / f"{key_of(url)}.data"
        with write_errors(self.directory):
            self._prepare()
            with self._changing(path, patience=client.limits.image_total, called=redact(url)):
                known = self._valid(path, checksum)
                received = client.download(
                    url,
                    path,
                    checksum=checksum,
                    kernel=kernel,
                    initrd=initrd,
                    known=known,
                    progress=progress,
                )
                stream = _note_use(path, url, received)
        with stream:
            self.prune({*keep, path})
            yield path

    def entries(self) -> list[Entry]:
        """Return the entries, the one used last first."""
        found = [self._entry(path) for path in self._named(".data")]
        return sorted(filter(None, found), key=lambda entry: entry.last_use, reverse=True)

    def prune(self, keep: Collection[Path] = ()) -> list[Path]:
        """Remove entries used longest ago until the rest is within the bounds; return their paths.

        Those in keep, borrowed ones and ones being fetched stay, even out of bounds.
        """
        entries, removed = self.entries(), list[Path]()
        size, count = sum(entry.size for entry in entries), len(entries)
        for entry in reversed(entries):
            if size <= self.max_bytes and count <= self.max_entries:
                break
            if entry.path not in keep and self._remove(entry.path):
                size, count = size - entry.size, count - 1
                removed.append(entry.path)
        return removed

    def leftovers(self) -> list[Path]:
        """Return what dead processes left: temporary files, halves of entries, unknown files."""
        paths = files.children(self.directory)
        return sorted(path for path in paths if path.name != TAG and self._is_left(path))

    def remove_leftovers(self) -> list[Path]:
        """Remove the leftovers and return their paths; what is not called like ours stays."""
        removed = []
        for path in filter(is_ours, self.leftovers()):
            with suppress(OSError):
                path.unlink()
                removed.append(path)
        return removed

    def changed(self) -> list[Path]:
        """Return the entries whose owner, mode or links are no longer those that they were given.

        They are never used: at their next use they are fetched again.
        """
        return [path for path in self._named(".data") if self._is_changed(path)]

    def forget(self, path: Path) -> None:
        """Remove an entry that has changed; its files' other names stay. Raise Conflict."""
        with write_errors(path), self._changing(path):
            if not is_untouched(path):
                unlink(path)

    def _is_changed(self, path: Path) -> bool:
        # Between its two files an entry is being written.
        with suppress(OSError, Conflict), self._changing(path):
            return path.with_suffix(".json").exists() and not is_untouched(path)
        return False

    def _prepare(self) -> None:
        make_directory(self.directory)
        if not any(self.directory.iterdir()):
            with write_atomically(self.directory / TAG) as stream:
                stream.write(TAG_TEXT)

    def _valid(self, path: Path, checksum: Checksum | None) -> Received | None:
        """Return what is known of an entry that is whole and can be validated, else drop it."""
        sidecar = read_sidecar(path) if is_untouched(path) else None
        if sidecar is None or not is_intact(path, sidecar.received, checksum):
            unlink(path)
            return None
        received = sidecar.received
        return received if received.etag or received.last_modified else None

    def _entry(self, path: Path) -> Entry | None:
        sidecar = read_sidecar(path)
        try:
            facts = path.stat()
        except OSError:  # another process has just removed it
            return None
        whole = sidecar is not None and sidecar.received.length == facts.st_size
        whole = whole and is_untouched(path)
        url = sidecar.url if sidecar else ""
        return Entry(url, path, facts.st_size, facts.st_mtime, whole)

    def _remove(self, path: Path) -> bool:
        with suppress(OSError, Conflict), self._changing(path):
            # What has changed is lent to nobody, and may not even be ours to open.
            if is_untouched(path):
                _check_unused(path)
            unlink(path)
            return True
        return False

    def _is_left(self, path: Path) -> bool:
        # A temporary file or half an entry is no leftover while someone writes it.
        with suppress(OSError, Conflict), self._changing(path):
            return path.name not in self._whole_names()
        return False

    def _whole_names(self) -> set[str]:
        keys = {path.stem for path in self._named(".data")} & {
            path.stem for path in self._named(".json")
        }
        return {key + suffix for key in keys for suffix in (".data", ".json")}

    def _named(self, suffix: str) -> list[Path]:
        # A glob of what cannot be listed would be empty, and every entry a leftover.
        paths = files.children(self.directory)
        return [path for path in paths if path.suffix == suffix and _is_key(path.stem)]

    def _changing(
        self, path: Path, *, patience: float = 0, called: str | None = None
    ) -> AbstractContextManager[None]:
        """Hold the lock of the entry that a file of the cache belongs to; raise Conflict."""
        entry = self.directory / path.name.lstrip(".")[:KEY_LENGTH]
        return locks.hold("cached", str(entry), timeout=patience, label=called)


def key_of(url: str) -> str:
    """Return the key of url."""
    return hashlib.sha256(url.encode()).hexdigest()


def is_ours(path: Path) -> bool:
    """Tell whether a file in the cache's directory has a name that the cache gives."""
    return bool(_OURS.fullmatch(path.name))


def _is_key(name: str) -> bool:
    return len(name) == KEY_LENGTH and not name.strip("0123456789abcdef")


def _check_unused(path: Path) -> None:
    """Raise OSError when an entry's data are borrowed."""
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _note_use(path: Path, url: str, received: Received | None) -> BufferedReader:
    """Return the entry's data, open and locked against removal."""
    if received:
        write_sidecar(path, Sidecar(redact(url), received))
    os.utime(path)
    stream = path.open("rb")
    fcntl.flock(stream, fcntl.LOCK_SH)
    return stream


def show(cache: Cache, *, forget: bool = False) -> list[Cached]:
    """Return the cached files, the one used last first; with forget, remove them as well."""
    entries = cache.entries()
    if forget:
        Cache(cache.directory, max_bytes=0, max_entries=0).prune()
    return [Cached(e.url, e.size, stamp(e.last_use)) for e in entries]
