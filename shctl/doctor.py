"""Find what interruptions, power cuts and other tools left behind, and put right what is ours.

While shctl is at work on a host, much looks like a leftover. So whatever belongs to a host is
judged, and put right, with the host's lock held.
"""

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from shctl import auth, domain, locks, network, openvswitch, storage
from shctl.errors import Conflict, NotFound, ShctlError
from shctl.handles import Domain
from shctl.hosts import console, deletion, power
from shctl.hosts import supervision as installs
from shctl.hypervisor import Hypervisor
from shctl.install import boot
from shctl.install.cache import Cache, is_ours
from shctl.metadata import FINISHING, Metadata, OwnedVolume
from shctl.model import Finding
from shctl.pools import Pool

Fix = Callable[[], object]
Found = Iterator[tuple[Finding, Fix | None]]
_VOLUME = re.compile(r"(.+)-sd[a-z]+")
_LOG = re.compile(r".*/(.+)\.log(?:\.[0-9]+)?")


@dataclass(frozen=True)
class _Seen:
    """The domains at one moment, with our metadata where there is some."""

    hosts: tuple[tuple[Domain, domain.Read], ...]

    @property
    def ours(self) -> Iterator[tuple[Domain, domain.Read, Metadata]]:
        for host, read in self.hosts:
            if read.metadata:
                yield host, read, read.metadata

    @property
    def names(self) -> set[str]:
        return {host.name for host, _ in self.hosts}

    @property
    def volumes(self) -> set[str]:
        return {volume.name for _, _, data in self.ours for volume in data.volumes}

    @property
    def installing(self) -> set[str]:
        return {host.name for host, _, data in self.ours if data.install and data.install.open}


def examine(hypervisor: Hypervisor, *, fix: bool = False) -> list[Finding]:
    """Return what is wrong; with `fix` put right what is ours and can be put right.

    What cannot be examined is a finding too; only without libvirt nothing can be said.
    """
    hypervisor.active_uuids()
    found: list[Finding] = []
    for subject, check in _CHECKS.items():
        try:
            # Each check looks anew: mending one thing may have mended others.
            for finding, mend in check(hypervisor):
                found.append(_mended(finding, mend) if fix and mend else finding)
        except (ShctlError, OSError) as error:
            problem = f"they cannot be examined: {error}"
            found.append(Finding("check", subject, problem, "mend that, then look again"))
    return found


def _mended(finding: Finding, mend: Fix) -> Finding:
    try:
        with suppress(NotFound):  # somebody else was faster
            mend()
    except (ShctlError, OSError) as error:
        return replace(finding, result=f"not mended: {error}")
    return replace(finding, result="mended")


def _look(hypervisor: Hypervisor) -> _Seen:
    seen = []
    for host in hypervisor.domains():
        with suppress(NotFound):  # gone in the meantime
            seen.append((host, _read(host)))
    return _Seen(tuple(seen))


def _read(host: Domain) -> domain.Read:
    return domain.read(host.xml(stored=host.persistent))


def _is_so(host: str, still: Callable[[], bool]) -> bool:
    """Tell whether something holds about a host while nobody is at work on it."""
    with suppress(Conflict, NotFound), locks.hold("host", host, patience=0):
        return still()
    return False


def _put_right(host: str, still: Callable[[], bool], mend: Fix) -> None:
    """Mend something about a host, unless somebody has done so in the meantime."""
    with locks.hold("host", host):
        if still():
            mend()


def _interrupted(hypervisor: Hypervisor) -> Found:
    for host, _, data in _look(hypervisor).ours:
        if not data.complete and _is_so(host.name, partial(deletion.is_interrupted, host)):
            problem = "its creation or deletion was interrupted"
            yield (
                Finding("host", host.name, problem, "--fix deletes it"),
                partial(deletion.finish, hypervisor, host.name),
            )


def _installs_open(hypervisor: Hypervisor) -> Found:
    for host, _, data in _look(hypervisor).ours:
        if data.install and data.complete and _is_so(host.name, partial(_is_over, host)):
            problem = "its installation has ended, or its time is over, and nobody saw to it"
            yield (
                Finding("host", host.name, problem, "--fix brings it to its end"),
                partial(installs.settle, hypervisor, host.name),
            )


def _is_over(host: Domain) -> bool:
    data = _read(host).metadata
    if data is None or data.install is None:
        return False
    over = data.install.phase == FINISHING or data.install.overdue or not host.active
    return data.install.open and over


def _pools_inactive(hypervisor: Hypervisor) -> Found:
    used = {volume.pool for _, _, data in _look(hypervisor).ours for volume in data.volumes}
    for name in sorted(used | {storage.DEFAULT_POOL}):
        with suppress(NotFound):
            if not hypervisor.pool(name).active:
                problem = "it is inactive, so the disks in it can neither be used nor examined"
                yield Finding("pool", name, problem, f"'virsh pool-start {name}'"), None


def _active_pool(hypervisor: Hypervisor, name: str) -> Pool | None:
    pool = hypervisor.pool(name)
    return pool if pool.active else None


def _volumes_missing(hypervisor: Hypervisor) -> Found:
    for host, _, data in _look(hypervisor).ours:
        for volume in data.volumes if data.complete else ():
            if _is_so(host.name, partial(_is_missing, hypervisor, host, volume)):
                problem = f"its volume {volume.name} is not in pool {volume.pool}"
                remedy = f"restore it, or 'shctl hosts delete {host.name}'"
                yield Finding("host", host.name, problem, remedy), None


def _is_missing(hypervisor: Hypervisor, host: Domain, volume: OwnedVolume) -> bool:
    data = _read(host).metadata
    if data is None or not data.complete:
        return False
    try:
        pool = _active_pool(hypervisor, volume.pool)
    except NotFound:
        return True
    return pool is not None and not pool.has_volume(volume.name)


def _volumes_left(hypervisor: Hypervisor) -> Found:
    with suppress(NotFound):
        if pool := _active_pool(hypervisor, storage.DEFAULT_POOL):
            yield from _left_in(hypervisor, pool)


def _left_in(hypervisor: Hypervisor, pool: Pool) -> Found:
    def is_left(name: str) -> bool:
        path = pool.volume(name).path
        return name not in _look(hypervisor).volumes and not deletion.users_of(hypervisor, path)

    # Only names that shctl gives: what else somebody keeps there is not ours.
    there = [match for match in map(_VOLUME.fullmatch, pool.volume_names()) if match]
    owned = _look(hypervisor).volumes
    for name, host in ((match[0], match[1]) for match in there if match[0] not in owned):
        if _is_so(host, partial(is_left, name)):
            # A name proves nothing: it may be a copy that somebody put there.
            remedy = f"look at it, then 'virsh vol-delete {name} {pool.name}'"
            yield Finding("volume", pool.volume(name).path, "it belongs to no host", remedy), None


def _ports_left(hypervisor: Hypervisor) -> Found:
    for row in power.stale_ports(hypervisor):
        if _has_outlived(hypervisor, row):
            problem = (
                f"its row in Open vSwitch (bridge {row.bridge}, tag {row.tag}) outlived its host"
            )
            yield (
                Finding("port", row.name, problem, "--fix removes the row"),
                partial(openvswitch.sweep, [row]),
            )


def _has_outlived(hypervisor: Hypervisor, row: openvswitch.PortRow) -> bool:
    """Look at a row again: a host that was stopped between two looks took its rows along."""

    def still() -> bool:
        return row in power.stale_ports(hypervisor)

    host = next((host for host in hypervisor.domains() if host.uuid == row.domain), None)
    return _is_so(host.name, still) if host else still()


def _ports_wrong(hypervisor: Hypervisor) -> Found:
    for host, _ in _look(hypervisor).hosts:
        with suppress(NotFound):
            wrong = _wrong_port(hypervisor, host)
            if wrong and _is_so(host.name, partial(_has_wrong_port, hypervisor, host)):
                yield Finding("host", host.name, wrong, "stop it and start it again"), None


def _wrong_port(hypervisor: Hypervisor, host: Domain) -> str | None:
    return power.wrong_port(hypervisor, host) if host.active else None


def _has_wrong_port(hypervisor: Hypervisor, host: Domain) -> bool:
    return _wrong_port(hypervisor, host) is not None


def _networks(hypervisor: Hypervisor) -> Found:
    known = [] if hypervisor.simulated else openvswitch.bridges()
    for row in hypervisor.networks():
        with suppress(NotFound):
            read = network.read(hypervisor.network(row.name).xml())
            if not read.switched or hypervisor.simulated:
                continue
            removal = f"or 'shctl networks delete {row.name}'"
            if read.bridge not in known:
                problem = f"its bridge {read.bridge} does not exist in Open vSwitch"
                remedy = f"'ovs-vsctl add-br {read.bridge}', {removal}"
                yield Finding("network", row.name, problem, remedy), None
            if row.state == "inactive":
                problem = "it is inactive, so hosts on it do not start"
                remedy = f"'virsh net-start {row.name}', {removal}"
                yield Finding("network", row.name, problem, remedy), None


def _files_left(hypervisor: Hypervisor) -> Found:
    booted = {path: path.name for path in boot.BOOT.glob("*")}
    yield from _left_by(
        booted,
        lambda: set(booted.values()) - _look(hypervisor).installing,
        "boot files of no open installation",
        lambda path: boot.remove_boot_files(path.name),
    )
    parts = map(_LOG.fullmatch, map(str, console.LOGS.glob("*")))
    logged = {Path(match[0]): match[1] for match in parts if match}
    yield from _left_by(
        logged,
        lambda: set(logged.values()) - _look(hypervisor).names,
        "console log of no host",
        lambda path: path.unlink(missing_ok=True),
    )


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
        if _is_so(files[path], still):
            yield (
                Finding("file", str(path), problem, "--fix deletes it"),
                partial(_put_right, files[path], still, partial(remove, path)),
            )


def _modes_wrong(hypervisor: Hypervisor) -> Found:
    volumes = Path(storage.DEFAULT_PATH)
    wanted = {console.LOGS: 0o700, volumes: 0o711, boot.BOOT: 0o755, locks.directory(): 0o700}
    for path in (*console.LOGS.glob("*"), auth.PATH):
        wanted[path] = 0o600
    for name in _look(hypervisor).volumes:  # not what else somebody keeps there
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


def _cache_left(_hypervisor: Hypervisor) -> Found:
    cache = Cache()
    for path in cache.leftovers():
        if is_ours(path):
            problem, remedy = "left by an interrupted download", "--fix deletes it"
            yield Finding("file", str(path), problem, remedy), partial(_clean, cache, path)
        else:
            problem = "it stands in the cache and is not shctl's"
            remedy = "look at it, and remove it if nobody needs it"
            yield Finding("file", str(path), problem, remedy), None


def _clean(cache: Cache, path: Path) -> None:
    cache.remove_leftovers()
    if path.exists():
        raise ShctlError("it cannot be removed; try by hand")


# The order matters: an interrupted creation takes its volumes, ports and files along.
_CHECKS = {
    "interrupted creations and deletions": _interrupted,
    "installations": _installs_open,
    "pools": _pools_inactive,
    "volumes of hosts": _volumes_missing,
    "volumes without host": _volumes_left,
    "rows in Open vSwitch": _ports_left,
    "ports of running hosts": _ports_wrong,
    "networks": _networks,
    "files without host": _files_left,
    "modes of files": _modes_wrong,
    "cached files": _cache_left,
}
