"""Check files: those of hosts that have gone, modes, and the cache."""

import re
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from shctl import auth, locks, storage
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
    booted = {path: path.name for path in boot.BOOT.glob("*")}
    yield from _left_by(
        booted,
        lambda: set(booted.values()) - look(hypervisor).installing,
        "boot files of no open installation",
        lambda path: boot.remove_boot_files(path.name),
    )
    parts = map(_LOG.fullmatch, map(str, console.LOGS.glob("*")))
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
    files: dict[Path, str],
    left: Callable[[], set[str]],
    problem: str,
    remove: Callable[[Path], None],
) -> Found:
    """Find files, given with the names of their hosts, whose host `left` still tells apart."""
    suspects = left() if files else set()
    for path in sorted(path for path, host in files.items() if host in suspects):
        # A host that went between two looks took its files along.
        still = partial(lambda path: path.exists() and files[path] in left(), path)
        if is_so(files[path], still):
            yield (
                Finding("file", str(path), problem, "--fix deletes it"),
                partial(put_right, files[path], still, partial(remove, path)),
            )


def modes_wrong(hypervisor: Hypervisor) -> Found:
    """Find files of ours that let others do more than they should."""
    volumes = Path(storage.DEFAULT_PATH)
    wanted = {console.LOGS: 0o700, volumes: 0o711, boot.BOOT: 0o755, locks.directory(): 0o700}
    for path in (*console.LOGS.glob("*"), auth.PATH):
        wanted[path] = 0o600
    for name in look(hypervisor).volumes:  # not what else somebody keeps there
        wanted[volumes / name] = 0o600
    for path, mode in wanted.items():
        with suppress(FileNotFoundError):
            have = stat.S_IMODE(path.stat().st_mode)
            if have & ~mode:
                problem = f"its mode is {have:04o}, which lets others do more than they should"
                yield (
                    Finding("file", str(path), problem, f"--fix makes it {mode:04o}"),
                    partial(path.chmod, mode),
                )


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
    if path.exists():
        raise ShctlError("it cannot be removed; try by hand")
