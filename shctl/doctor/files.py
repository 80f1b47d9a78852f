"""Check files: those of hosts that have gone, modes, and the cache."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from shctl import auth, files, locks, storage
from shctl.doctor.looks import Found, is_so, look, put_right
from shctl.errors import ShctlError
from shctl.hosts import console
from shctl.hypervisor import Hypervisor
from shctl.install import boot
from shctl.install.cache import Cache, is_ours
from shctl.model import Finding

_LOG = re.compile(r".*/(.+)\.log(?:\.[0-9]+)?")


def files_left(hypervisor: Hypervisor) -> Found:
    """Find boot files and console logs of no host."""
    booted = {path: path.name for path in files.children(boot.BOOT)}
    yield from _left_by(
        booted,
        lambda: set(booted.values()) - look(hypervisor).installing,
        "boot files of no open installation",
        lambda path: boot.remove_boot_files(path.name),
    )
    parts = map(_LOG.fullmatch, map(str, files.children(console.LOGS)))
    logged = {Path(match[0]): match[1] for match in parts if match}
    yield from _left_by(
        logged,
        lambda: set(logged.values()) - _named(hypervisor),
        "console log of no host",
        lambda path: path.unlink(missing_ok=True),
    )


def _named(hypervisor: Hypervisor) -> set[str]:
    seen = look(hypervisor)
    return seen.names | seen.logged


def _left_by(
    places: dict[Path, str],
    left: Callable[[], set[str]],
    problem: str,
    remove: Callable[[Path], None],
) -> Found:
    """Find files, given with the names of their hosts, whose host `left` still tells apart."""
    suspects = left() if places else set()
    for path in sorted(path for path, host in places.items() if host in suspects):
        # A host that went between two looks took its files along.
        still = partial(lambda path: files.is_there(path) and places[path] in left(), path)
        if is_so(places[path], still):
            yield (
                Finding("file", str(path), problem, "--fix deletes it"),
                partial(put_right, places[path], still, partial(remove, path)),
            )


def modes_wrong(hypervisor: Hypervisor) -> Found:
    """Find files of ours that let others do more than they should."""
    volumes = Path(storage.DEFAULT_PATH)
    wanted = {console.LOGS: 0o700, volumes: 0o711, boot.BOOT: 0o755, locks.directory(): 0o700}
    for path in (*files.children(console.LOGS), auth.PATH, *_disks(hypervisor, volumes)):
        wanted[path] = 0o600
    for path, mode in wanted.items():
        facts = files.look(path, follow=False)
        have = stat.S_IMODE(facts.st_mode) if facts and not stat.S_ISLNK(facts.st_mode) else 0
        if have & ~mode:
            problem = f"its mode is {have:04o}, which lets others do more than they should"
            yield (
                Finding("file", str(path), problem, f"--fix makes it {mode:04o}"),
                partial(_chmod, path, mode),
            )


def _disks(hypervisor: Hypervisor, volumes: Path) -> Iterator[Path]:
    """Yield the disks in a directory that hosts have and list; what else is there is not ours."""
    for _, read, data in look(hypervisor).ours:
        listed = {str(volumes / name.name) for name in data.volumes if "/" not in name.name}
        yield from (Path(row.path) for row in read.disks if row.path in listed)


def _chmod(path: Path, mode: int) -> None:
    """Change a mode, but never that of what a link leads to, which anybody may have put there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def cache_left(_hypervisor: Hypervisor) -> Found:
    """Find what interrupted downloads and others left in the cache."""
    cache = Cache()
    for path in cache.leftovers():
        if is_ours(path):
            problem, remedy = "left by an interrupted download", "--fix deletes it"
            yield Finding("file", str(path), problem, remedy), partial(_clean, cache, path)
        else:
            problem = "it stands in the cache and is not shctl's"
            remedy = "look at it, and remove it if nobody needs it"
            yield Finding("file", str(path), problem, remedy), None


def cache_changed(_hypervisor: Hypervisor) -> Found:
    """Find cached files that QEMU or another user may have written to."""
    cache = Cache()
    for path in cache.changed():
        problem = "it has another owner, mode or name than the cache gave it, so it is not used"
        yield (
            Finding("file", str(path), problem, "--fix deletes it; it is fetched again"),
            partial(cache.forget, path),
        )


def _clean(cache: Cache, path: Path) -> None:
    cache.remove_leftovers()
    if files.is_there(path):
        raise ShctlError("it cannot be removed; try by hand")
