"""Check files: those of hosts that have gone, modes, and the cache."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from shctl.common import files, locks, names, token_file
from shctl.common.errors import ShctlError
from shctl.common.model import Finding
from shctl.doctor.snapshot import Found, is_so, look, put_right
from shctl.hosts import console_log
from shctl.hypervisor.connection import Hypervisor
from shctl.install import boot_files
from shctl.install.cache import Cache, is_own_name
from shctl.storage import usage
from shctl.storage.volumes import DEFAULT_PATH

_LOG = re.compile(r".*/(.+)\.log(?:\.[0-9]+)?")


def files_left(hypervisor: Hypervisor) -> Found:
    """Find boot files and console logs of no host."""
    booted = {path: path.name for path in _boot_directories()}
    yield from _left_by(
        booted,
        lambda: set(booted.values()) - look(hypervisor).installing,
        "boot files of no open installation",
        lambda path: boot_files.remove_boot_files(path.name),
    )
    parts = map(_LOG.fullmatch, map(str, files.children(console_log.LOGS)))
    logged = {Path(match[0]): match[1] for match in parts if match}
    logged = {path: host for path, host in logged.items() if files.is_regular(path)}
    yield from _left_by(
        logged,
        lambda: _unnamed(hypervisor, set(logged.values())),
        "console log of no host",
        lambda path: path.unlink(missing_ok=True),
    )


def _boot_directories() -> list[Path]:
    """Return the directories with boot files of shctl's; none where a link leads elsewhere."""
    if boot_files.BOOT.is_symlink():
        return []
    paths = [path for path in files.children(boot_files.BOOT) if names.is_host(path.name)]
    return [path for path in paths if boot_files.is_boot_directory(path)]


def _unnamed(hypervisor: Hypervisor, hosts: set[str]) -> set[str]:
    """Return the hosts that are not there, and to whose logs no other host may write."""
    left = hosts - look(hypervisor).names
    if not left or any(host.hung for host in hypervisor.domains()):
        return set()
    written = console_log.written(hypervisor)
    return {host for host in left if f"{host}.log" not in written}


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
        still = partial(lambda path: files.exists(path) and places[path] in left(), path)
        if is_so(places[path], still):
            yield (
                Finding("file", str(path), problem, "--fix deletes it"),
                partial(put_right, places[path], still, partial(remove, path)),
            )


def modes_wrong(hypervisor: Hypervisor) -> Found:
    """Find files of ours that let others do more than they should."""
    volumes = Path(DEFAULT_PATH)
    wanted = {
        console_log.LOGS: 0o700,
        volumes: 0o711,
        boot_files.BOOT: 0o755,
        locks.directory(): 0o700,
    }
    disks = dict(_disks(hypervisor, volumes))
    for path in (
        *filter(files.is_regular, files.children(console_log.LOGS)),
        token_file.PATH,
        *disks,
    ):
        wanted[path] = 0o600
    for path, mode in wanted.items():
        if (have := _mode(path)) & ~mode and _is_alone(hypervisor, path, disks.get(path)):
            problem = f"its mode is {have:04o}, which lets others do more than they should"
            yield (
                Finding("file", str(path), problem, f"--fix makes it {mode:04o}"),
                partial(_chmod, path, mode),
            )


def _mode(path: Path) -> int:
    """Return the mode of a file or directory, 0 where it is not certain whose that is."""
    facts = files.stat_or_none(path, follow=False)
    if facts is None or not (stat.S_ISDIR(facts.st_mode) or stat.S_ISREG(facts.st_mode)):
        return 0
    # A second name of a file may be another owner's.
    return 0 if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1 else stat.S_IMODE(facts.st_mode)


def _is_alone(hypervisor: Hypervisor, path: Path, host: str | None) -> bool:
    """Tell whether a disk is used by no other host than this one, by its UUID."""
    if host is None:
        return True
    uses = usage.users_of(hypervisor, [str(path)])[str(path)]
    return all(use.host is not None and use.host.uuid == host for use in uses)


def _disks(hypervisor: Hypervisor, volumes: Path) -> Iterator[tuple[Path, str]]:
    """Yield the disks in a directory that hosts have and list, with the hosts' UUIDs."""
    for host, info, data in look(hypervisor).ours:
        listed = {str(volumes / name.name) for name in data.volumes if "/" not in name.name}
        yield from ((Path(row.path), host.uuid) for row in info.disks if row.path in listed)


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
        if is_own_name(path):
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
    if files.exists(path):
        raise ShctlError("it cannot be removed; try by hand")
