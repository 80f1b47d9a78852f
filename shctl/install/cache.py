"""A cache of kernels and initrds by URL, which revalidates each entry with the server before use.

An entry consists of KEY.data and KEY.json (the sidecar); KEY is the SHA-256 of the URL. Processes
may work in parallel: a lock for each key protects changes of its entry, and a shared flock on the
data protects it from removal while it is borrowed. An entry is used only if both files still have
the owner and mode that the cache gave them, and no other hard links: otherwise QEMU or another user
may have written to them.
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

from shctl.common import files, locks, paths
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
from shctl.install.fetch import Progress, TreeClient
from shctl.install.http.results import Received
from shctl.install.http.urls import redact

MAX_BYTES = 4 << 30
MAX_ENTRIES = 32
KEY_LENGTH = 64
# Marks the directory as a cache, which backups skip, see https://bford.info/cachedir/.
TAG = "CACHEDIR.TAG"
# The names of an entry's files, and of the temporary files that become them.
_ENTRY = r"[0-9a-f]{64}\.(?:data|json)"
_OWN_NAMES = re.compile(rf"{_ENTRY}|\.(?:{_ENTRY}|{re.escape(TAG)})\..+{re.escape(TEMPORARY)}")
TAG_TEXT = b"Signature: 8a477f597d28d172789f06886806bc55\n# shctl's cache of installation trees\n"


@dataclass(frozen=True)
class Entry:
    """A cached file: its redacted URL, size in bytes, and last use in seconds since 1970.

    `valid` says whether it can be used.
    """

    url: str
    path: Path
    size: int
    last_use: float
    valid: bool


class Cache:
    """A directory of cached files with a maximum size and number of entries."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self.directory = directory or paths.tree_cache()
        self.max_bytes = max_bytes
        self.max_entries = max_entries

    @contextmanager
    def borrow(
        self,
        client: TreeClient,
        url: str,
        *,
        checksum: Checksum | None = None,
        kernel: bool = False,
        initrd: bool = False,
        keep: Collection[Path] = (),
        progress: Progress | None = None,
    ) -> Iterator[Path]:
        """Yield the path of the file at url, downloaded unless the server reports it unchanged.

        The file is not removed within the block, nor are those in `keep`. Raise what
        TreeClient.download raises; also if the server does not answer, since the entry may be out
        of date. Raise Conflict if another process downloads it for longer than the time limit.
        """
        path = self.directory / f"{key_of(url)}.data"
        with write_errors(self.directory):
            self._prepare()
            with self._locked(path, patience=client.limits.image_total, called=redact(url)):
                known = self._validators(path, checksum)
                received = client.download(
                    url,
                    path,
                    checksum=checksum,
                    kernel=kernel,
                    initrd=initrd,
                    known=known,
                    progress=progress,
                )
                stream = _open_borrowed(path, url, received)
        with stream:
            self.prune({*keep, path})
            yield path

    def entries(self) -> list[Entry]:
        """Return the entries, the most recently used first."""
        entries = [entry for path in self._paths(".data") if (entry := self._entry(path))]
        return sorted(entries, key=lambda entry: entry.last_use, reverse=True)

    def prune(self, keep: Collection[Path] = ()) -> list[Path]:
        """Remove the least recently used entries until the limits are met; return their paths.

        Entries in `keep`, borrowed ones and those being downloaded stay, even above the limits.
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
        """Return files of no entry: those of killed processes, and unknown ones."""
        paths = files.children(self.directory)
        return sorted(path for path in paths if path.name != TAG and self._is_leftover(path))

    def remove_leftovers(self) -> list[Path]:
        """Remove leftovers with the cache's own names; return their paths."""
        removed = []
        for path in self.leftovers():
            if not is_own_name(path):
                continue
            with suppress(OSError):
                path.unlink()
                removed.append(path)
        return removed

    def changed(self) -> list[Path]:
        """Return the entries whose owner, mode or number of links has changed.

        They are not used any more, but downloaded again.
        """
        return [path for path in self._paths(".data") if self._is_changed(path)]

    def forget(self, path: Path) -> None:
        """Remove an entry that has changed, but no other links to its files; raise Conflict."""
        with write_errors(path), self._locked(path):
            if not is_untouched(path):
                unlink(path)

    def _is_changed(self, path: Path) -> bool:
        # An entry without a sidecar is still being written.
        with suppress(OSError, Conflict), self._locked(path):
            return path.with_suffix(".json").exists() and not is_untouched(path)
        return False

    def _prepare(self) -> None:
        make_directory(self.directory)
        if not any(self.directory.iterdir()):
            with write_atomically(self.directory / TAG) as stream:
                stream.write(TAG_TEXT)

    def _validators(self, path: Path, checksum: Checksum | None) -> Received | None:
        """Return what a request needs to revalidate an entry; remove the entry if it is damaged."""
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
        is_complete = sidecar is not None and sidecar.received.length == facts.st_size
        url = sidecar.url if sidecar else ""
        valid = is_complete and is_untouched(path)
        return Entry(url, path, facts.st_size, facts.st_mtime, valid)

    def _remove(self, path: Path) -> bool:
        with suppress(OSError, Conflict), self._locked(path):
            # A changed entry is never borrowed, and may not be readable.
            if is_untouched(path):
                _check_not_borrowed(path)
            unlink(path)
            return True
        return False

    def _is_leftover(self, path: Path) -> bool:
        # Locked: a file that another process is writing is no leftover.
        with suppress(OSError, Conflict), self._locked(path):
            return path.name not in self._names_of_entries()
        return False

    def _names_of_entries(self) -> set[str]:
        """Return the names of the files of complete entries."""
        keys = {path.stem for path in self._paths(".data")} & {
            path.stem for path in self._paths(".json")
        }
        return {key + suffix for key in keys for suffix in (".data", ".json")}

    def _paths(self, suffix: str) -> list[Path]:
        # Not glob(), which ignores errors: an unreadable directory would look empty.
        paths = files.children(self.directory)
        return [path for path in paths if path.suffix == suffix and _is_key(path.stem)]

    def _locked(
        self, path: Path, *, patience: float = 0, called: str | None = None
    ) -> AbstractContextManager[None]:
        """Hold the lock of the entry that a file belongs to; raise Conflict after `patience` s."""
        entry = self.directory / path.name.lstrip(".")[:KEY_LENGTH]
        return locks.hold("cached", str(entry), timeout=patience, label=called)


def key_of(url: str) -> str:
    """Return the cache's key of a URL."""
    return hashlib.sha256(url.encode()).hexdigest()


def is_own_name(path: Path) -> bool:
    """Return whether a file has a name that the cache uses."""
    return bool(_OWN_NAMES.fullmatch(path.name))


def _is_key(name: str) -> bool:
    return len(name) == KEY_LENGTH and not name.strip("0123456789abcdef")


def _check_not_borrowed(path: Path) -> None:
    """Raise OSError if an entry's data is borrowed."""
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _open_borrowed(path: Path, url: str, received: Received | None) -> BufferedReader:
    """Return an entry's data file, opened and locked against removal.

    Writes the sidecar of new data. The data file's mtime is the time of the last use.
    """
    if received:
        write_sidecar(path, Sidecar(redact(url), received))
    os.utime(path)
    stream = path.open("rb")
    fcntl.flock(stream, fcntl.LOCK_SH)
    return stream


def show(cache: Cache, *, forget: bool = False) -> list[Cached]:
    """Return the cached files, the most recently used first; with `forget`, remove them too."""
    entries = cache.entries()
    if forget:
        Cache(cache.directory, max_bytes=0, max_entries=0).prune()
    return [Cached(e.url, e.size, stamp(e.last_use)) for e in entries]
