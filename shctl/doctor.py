"""Find what interruptions, power cuts and other tools left behind, and put right what is ours."""

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from shctl import console, deletion, domain, locks, network, openvswitch, power, storage
from shctl import supervision as installs
from shctl.errors import Conflict, NotFound, ShctlError
from shctl.hypervisor import Domain, Hypervisor
from shctl.install import boot
from shctl.install.cache import Cache
from shctl.metadata import Metadata
from shctl.model import Finding

Fix = Callable[[], object]
_VOLUME = re.compile(r".+-sd[a-z]+")


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


def examine(hypervisor: Hypervisor, *, fix: bool = False) -> list[Finding]:
    """Return what is wrong; with `fix` put right what is ours and can be put right."""
    found = []
    for check in _CHECKS:
        # Each check looks anew: mending one thing may have mended others.
        for finding, mend in check(hypervisor):
            found.append(_mended(finding, mend) if fix and mend else finding)
    return found


def _mended(finding: Finding, mend: Fix) -> Finding:
    try:
        mend()
    except (ShctlError, OSError) as error:
        return replace(finding, result=f"not mended: {error}")
    return replace(finding, result="mended")


def _look(hypervisor: Hypervisor) -> _Seen:
    seen = []
    for host in hypervisor.domains():
        with suppress(NotFound):  # gone in the meantime
            seen.append((host, domain.read(host.xml(stored=host.persistent))))
    return _Seen(tuple(seen))


def _is_free(name: str) -> bool:
    """Tell whether nobody is at work on the host, as somebody is while it is being created."""
    try:
        with locks.hold("host", name, patience=0):
            return True
    except Conflict:
        return False


def _interrupted(hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    for host, _, data in _look(hypervisor).ours:
        if not data.complete and _is_free(host.name):
            yield (
                Finding("host", host.name, "its creation was interrupted", "delete it"),
                partial(deletion.delete, hypervisor, host.name),
            )


def _volumes_missing(hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    for host, _, data in _look(hypervisor).ours:
        for volume in data.volumes:
            try:
                hypervisor.pool(volume.pool).volume(volume.name)
            except NotFound:
                problem = f"its volume {volume.name} is not in pool {volume.pool}"
                remedy = f"restore it, or 'shctl hosts delete {host.name}'"
                yield Finding("host", host.name, problem, remedy), None


def _volumes_left(hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    try:
        pool = hypervisor.pool(storage.DEFAULT_POOL)
    except NotFound:
        return
    # Volumes first: a creation names its volumes in the domain before it makes them.
    there = [name for name in pool.volume_names() if _VOLUME.fullmatch(name)]
    owned = {v.name for _, _, data in _look(hypervisor).ours for v in data.volumes}
    for name in there:
        volume = pool.volume(name)
        if name not in owned and not deletion.users_of(hypervisor, volume.path):
            yield (
                Finding("volume", volume.path, "it belongs to no host", "delete it"),
                volume.delete,
            )


def _ports_left(hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    for row in power.stale_ports(hypervisor):
        problem = f"its row in Open vSwitch (bridge {row.bridge}, tag {row.tag}) outlived its host"
        yield (
            Finding("port", row.name, problem, "remove the row"),
            partial(openvswitch.sweep, [row]),
        )


def _ports_wrong(hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    for host, _ in _look(hypervisor).hosts:
        with suppress(NotFound):
            if host.active and (wrong := power.wrong_port(hypervisor, host)):
                yield Finding("host", host.name, wrong, "stop it and start it again"), None


def _installs_open(hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    for host, _, data in _look(hypervisor).ours:
        install = data.install
        if install and install.open and (install.overdue or not host.active):
            yield (
                Finding("host", host.name, "its installation has ended unseen", "finish it"),
                partial(installs.settle, hypervisor, host.name),
            )


def _bridges_gone(hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    if hypervisor.simulated:
        return
    known = openvswitch.bridges()
    for row in hypervisor.networks():
        with suppress(NotFound):
            read = network.read(hypervisor.network(row.name).xml())
            if read.switched and read.bridge not in known:
                problem = f"its bridge {read.bridge} does not exist in Open vSwitch"
                remedy = f"'ovs-vsctl add-br {read.bridge}', or 'shctl networks delete {row.name}'"
                yield Finding("network", row.name, problem, remedy), None


def _files_left(hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    booted = list(boot.BOOT.iterdir()) if boot.BOOT.is_dir() else []
    logged = list(console.LOGS.glob("*.log")) if console.LOGS.is_dir() else []
    seen = _look(hypervisor)
    opened = {host.name for host, _, data in seen.ours if data.install and data.install.open}
    for path in booted:
        if path.name not in opened and _is_free(path.name):
            yield (
                Finding("file", str(path), "boot files of no open installation", "delete them"),
                partial(boot.remove_boot_files, path.name),
            )
    for path in logged:
        if path.stem not in seen.names and _is_free(path.stem):
            yield (
                Finding("file", str(path), "console log of no host", "delete it"),
                partial(console.remove_log, path),
            )


def _modes_wrong(_hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    private = [(console.LOGS, 0o700), *((log, 0o600) for log in console.LOGS.glob("*"))]
    for path, mode in private:
        with suppress(FileNotFoundError):
            have = stat.S_IMODE(path.stat().st_mode)
            if have & ~mode:
                problem = f"its mode is {have:04o}, so others can read what installers print"
                yield (
                    Finding("file", str(path), problem, f"make it {mode:04o}"),
                    partial(path.chmod, mode),
                )


def _cache_left(_hypervisor: Hypervisor) -> Iterator[tuple[Finding, Fix | None]]:
    cache = Cache()
    for path in cache.leftovers():
        yield (
            Finding("file", str(path), "left by an interrupted download", "delete it"),
            cache.remove_leftovers,
        )


_CHECKS = (
    _interrupted,
    _installs_open,
    _volumes_missing,
    _volumes_left,
    _ports_left,
    _ports_wrong,
    _bridges_gone,
    _files_left,
    _modes_wrong,
    _cache_left,
)
