"""Check files: those of hosts that no longer exist, file modes, and the cache."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from shctl.common import files, locks, names, paths
from shctl.common.errors import ShctlError
from shctl.common.model import Finding
from shctl.doctor.snapshot import Found, fix_locked, recheck_locked, take_snapshot
from shctl.hosts import log_writers
from shctl.hypervisor.connection import Hypervisor
from shctl.install import boot_files
from shctl.install.cache import Cache, is_own_name
from shctl.storage import usage

# virtlogd appends .0, .1, ... to the logs that it rotates.
_LOG = re.compile(r".*/(.+)\.log(?:\.[0-9]+)?")


def orphaned_files(hypervisor: Hypervisor) -> Found:
    """Find boot files and console logs that belong to no host."""
    booted = {path: path.name for path in _boot_directories()}
    yield from _orphaned(
        booted,
        lambda: set(booted.values()) - take_snapshot(hypervisor).installing,
        "these boot files belong to no open installation",
        lambda path: boot_files.remove_boot_files(path.name),
    )
    parts = map(_LOG.fullmatch, map(str, files.children(paths.console_logs())))
    logged = {Path(match[0]): match[1] for match in parts if match}
    logged = {path: host for path, host in logged.items() if files.is_regular(path)}
    yield from _orphaned(
        logged,
        lambda: _without_host(hypervisor, set(logged.values())),
        "this console log belongs to no host",
        lambda path: path.unlink(missing_ok=True),
    )


def _boot_directories() -> list[Path]:
    """Return the directories with shctl's boot files; none if their parent is a symbolic link."""
    if paths.boot_files().is_symlink():
        return []
    found = [path for path in files.children(paths.boot_files()) if names.is_host(path.name)]
    return [path for path in found if boot_files.is_boot_directory(path)]


def _without_host(hypervisor: Hypervisor, hosts: set[str]) -> set[str]:
    """Return those names that no host has and whose logs no other host may write to."""
    orphaned = hosts - take_snapshot(hypervisor).names
    # A hung host cannot report which logs it writes to.
    if not orphaned or any(host.hung for host in hypervisor.domains()):
        return set()
    written = log_writers.files_written(hypervisor)
    return {host for host in orphaned if f"{host}.log" not in written}


def _orphaned(
    host_of: dict[Path, str],
    find_orphaned: Callable[[], set[str]],
    problem: str,
    remove: Callable[[Path], None],
) -> Found:
    """Find files whose host, given by `host_of`, is one of those that `find_orphaned` returns."""

    def is_orphaned(path: Path) -> bool:
        # A host deleted since the snapshot has taken its files with it.
        return files.exists(path) and host_of[path] in find_orphaned()

    suspects = find_orphaned() if host_of else set()
    for path in sorted(path for path, host in host_of.items() if host in suspects):
        condition = partial(is_orphaned, path)
        if recheck_locked(host_of[path], condition):
            yield (
                Finding("file", str(path), problem, "--fix deletes it"),
                partial(fix_locked, host_of[path], condition, partial(remove, path)),
            )


def wrong_modes(hypervisor: Hypervisor) -> Found:
    """Find shctl's files and directories with a mode that is too permissive."""
    volumes = paths.volumes()
    modes = {
        paths.console_logs(): 0o700,
        volumes: 0o711,  # QEMU opens its disks by name, but cannot list them
        paths.boot_files(): 0o755,  # QEMU reads kernels and initrds there
        locks.directory(): 0o700,
    }
    disks = dict(_disks(hypervisor, volumes))
    for path in (
        *filter(files.is_regular, files.children(paths.console_logs())),
        paths.tokens(),
        *disks,
    ):
        modes[path] = 0o600
    for path, mode in modes.items():
        if (actual := _mode(path)) & ~mode and _is_exclusive(hypervisor, path, disks.get(path)):
            problem = f"its mode {actual:04o} gives other users access"
            yield (
                Finding("file", str(path), problem, f"--fix changes it to {mode:04o}"),
                partial(_chmod, path, mode),
            )


def _mode(path: Path) -> int:
    """Return the mode of a file or directory; 0 if its owner is not certain."""
    facts = files.stat_or_none(path, follow=False)
    if facts is None or not (stat.S_ISDIR(facts.st_mode) or stat.S_ISREG(facts.st_mode)):
        return 0
    # Another hard link of a file may belong to somebody else.
    return 0 if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1 else stat.S_IMODE(facts.st_mode)


def _is_exclusive(hypervisor: Hypervisor, path: Path, host: str | None) -> bool:
    """Return whether no host uses a disk other than this one, given by its UUID."""
    if host is None:
        return True
    uses = usage.users_of(hypervisor, [str(path)])[str(path)]
    return all(use.host is not None and use.host.uuid == host for use in uses)


def _disks(hypervisor: Hypervisor, volumes: Path) -> Iterator[tuple[Path, str]]:
    """Yield the owned disks of hosts in a directory, with the hosts' UUIDs."""
    for host, info, data in take_snapshot(hypervisor).managed:
        listed = {str(volumes / name.name) for name in data.volumes if "/" not in name.name}
        yield from ((Path(row.path), host.uuid) for row in info.disks if row.path in listed)


def _chmod(path: Path, mode: int) -> None:
    """Change the mode of a file; raise OSError for a symbolic link."""
    # Following a link that another user planted would change a file of their choice.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def cache_leftovers(_hypervisor: Hypervisor) -> Found:
    """Find partial downloads and foreign files in the cache."""
    cache = Cache()
    for path in cache.leftovers():
        if is_own_name(path):
            problem, remedy = "an interrupted download left it behind", "--fix deletes it"
            yield Finding("file", str(path), problem, remedy), partial(_clean, cache, path)
        else:
            problem = "it is in the cache, but shctl did not create it"
            remedy = "check it, and remove it if nobody needs it"
            yield Finding("file", str(path), problem, remedy), None


def changed_cache_files(_hypervisor: Hypervisor) -> Found:
    """Find cached files that QEMU or another user may have written to."""
    cache = Cache()
    for path in cache.changed():
        problem = "its owner, mode or name was changed, so the cache does not use it"
        yield (
            Finding(
                "file", str(path), problem, "--fix deletes it; the next use downloads it again"
            ),
            partial(cache.forget, path),
        )


def _clean(cache: Cache, path: Path) -> None:
    cache.remove_leftovers()
    if files.exists(path):
        raise ShctlError("the cache cannot remove it; delete it manually")
