"""Delete hosts with what is theirs, and nothing else."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lxml import etree

from shctl import domain, files, locks, metadata, names, ports
from shctl.errors import Conflict, InvalidInput, NoSpace, NotFound, ShctlError, Unreachable
from shctl.handles import Domain
from shctl.hosts import power
from shctl.hosts.console import log_path, remove_log
from shctl.hypervisor import Hypervisor
from shctl.install.boot import remove_boot_files
from shctl.metadata import Metadata
from shctl.model import Outcome
from shctl.pools import Volume


@dataclass(frozen=True)
class Owned:
    """A disk that goes with its host: `path`, and how to remove it."""

    path: str
    remove: Callable[[], None]


def delete(hypervisor: Hypervisor, name: str, *, if_exists: bool = False) -> Outcome:
    """Delete a host in whatever state it is, with the disks that it owns.

    Raises NotFound, and Conflict for a host that is not ours or whose disks another host uses.
    """
    hypervisor.check_changeable()
    with locks.hold("host", name):
        try:
            host = hypervisor.domain(name)
        except NotFound:
            if if_exists:
                return Outcome(name, "does not exist")
            raise
        return Outcome(name, "deleted", _delete(hypervisor, host))


def finish(hypervisor: Hypervisor, name: str) -> None:
    """Delete what is left of a host whose creation or deletion was interrupted.

    Whoever asks has seen such a host, but it may be a whole one by now, which stays.
    """
    with locks.hold("host", name):
        host = hypervisor.domain(name)
        if is_interrupted(host):
            _delete(hypervisor, host)


def is_interrupted(host: Domain) -> bool:
    """Tell whether a host is ours and incomplete, which is normal while its lock is held."""
    data = domain.read(host.xml(stored=True)).metadata
    return data is not None and not data.complete


def _delete(hypervisor: Hypervisor, host: Domain) -> tuple[str, ...]:
    """Delete a host whose lock is held; return the paths of disks that are not its own."""
    read = domain.read(host.xml(stored=True))
    data, owned = check(hypervisor, host, read)
    ran = host.active
    host.destroy()
    _mark(host, data)
    _sweep(hypervisor, host, needed=ran)
    _remove(host, owned)
    _remove_old_log(hypervisor, read.console)
    ours = {disk.path for disk in owned}
    kept = (row.path for row in read.disks if row.path and row.path not in ours)
    # An interrupted deletion before this one may have removed some already.
    return tuple(path for path in kept if Path(path).exists() or not Path(path).is_absolute())


def check(hypervisor: Hypervisor, host: Domain, read: domain.Read) -> tuple[Metadata, list[Owned]]:
    """Return what is known of a host and the disks that go with it; change nothing.

    Raises Conflict for a host or a disk that has to stay, Unreachable when Open vSwitch is needed.
    """
    if read.metadata is None:
        raise Conflict(
            f"host {host.name!r} was not made by shctl;"
            f" 'shctl hosts adopt {host.name}' takes it over"
        )
    owned = owned_disks(hypervisor, read.metadata)
    _check_unshared(hypervisor, host, owned)
    _check_removable(host, read.metadata)
    if host.active:
        power.check_switch(hypervisor)
    return read.metadata, owned


def _mark(host: Domain, data: Metadata) -> None:
    """Note that the host is no longer whole, so that `doctor` ends an interrupted deletion."""
    # A transient domain has gone with its QEMU, and a full disk must not keep us from making room.
    with suppress(NotFound, NoSpace):
        element = metadata.text(replace(data, complete=False))
        host.set_metadata(element, metadata.URI, metadata.KEY)


def owned_disks(hypervisor: Hypervisor, data: Metadata) -> list[Owned]:
    """Return the owned disks that exist."""
    owned = []
    for wanted in data.volumes:
        with suppress(NotFound):
            owned.append(_as_owned(hypervisor.pool(wanted.pool).volume(wanted.name)))
    for path in data.paths:
        try:
            owned.append(_as_owned(hypervisor.volume_at(path)))
        except NotFound:
            if Path(path).is_file():
                owned.append(Owned(path, Path(path).unlink))
    return owned


def _as_owned(volume: Volume) -> Owned:
    return Owned(volume.path, volume.delete)


def _check_unshared(hypervisor: Hypervisor, host: Domain, owned: list[Owned]) -> None:
    for disk in owned:
        users = [name for name in users_of(hypervisor, disk.path) if name != host.name]
        if users:
            raise Conflict(
                f"host {host.name!r} is kept: its disk {disk.path} is also used by"
                f" {', '.join(users)}; detach it there first"
            )


def _check_removable(host: Domain, data: Metadata) -> None:
    """Raise Conflict for a file that this process may not remove, which a service may see so."""
    for path in map(Path, data.paths):
        if path.is_file() and not os.access(path.parent, os.W_OK):
            raise Conflict(
                f"host {host.name!r} is kept: its disk {path} is read-only for this process;"
                f" 'shctl hosts delete {host.name}' in a root shell removes both"
            )


def users_of(hypervisor: Hypervisor, path: str) -> list[str]:
    """Return the names of the hosts with this disk, running or stored, backing files included.

    Whatever path they call it by: what counts is the file.
    """
    file = files.identity(path)
    return sorted(host.name for host in hypervisor.domains() if _uses(hypervisor, host, file))


def _uses(hypervisor: Hypervisor, host: Domain, file: files.Identity) -> bool:
    with suppress(NotFound):  # a host that went in the meantime
        return any(files.identity(path) == file for path in _disks(hypervisor, host))
    return False


def _disks(hypervisor: Hypervisor, host: Domain) -> Iterator[str]:
    """Return the paths of what a host's disks are made of, running and stored."""
    if host.hung:
        # By libvirt 11 each reading of its XML would wait for half a minute.
        yield from host.open_disks()
        return
    for xml in {host.xml(), host.xml(stored=True)}:
        yield from _sources(hypervisor, xml)


def _sources(hypervisor: Hypervisor, xml: str) -> Iterator[str]:
    """Return what a domain's disks are made of, down to the last backing file."""
    for tag in domain.source_tags(xml):
        yield from _paths(hypervisor, tag)
    # Stored XML does not tell of backing files. Raw disks have none, whatever a guest writes there.
    for tag in domain.overlay_tags(xml):
        for path in _paths(hypervisor, tag):
            yield from files.backing_files(path)


def _paths(hypervisor: Hypervisor, tag: str) -> Iterator[str]:
    """Return what a source element names; one that names a volume has its path."""
    element = etree.fromstring(tag)
    yield from map(str, element.values())
    if volume := element.get("volume"):
        with suppress(NotFound):
            yield hypervisor.pool(element.get("pool", "")).volume(volume).path


def _sweep(hypervisor: Hypervisor, host: Domain, *, needed: bool) -> None:
    """Remove the ports' rows; a host that did not run can go without Open vSwitch."""
    ports.note_deleted(host.uuid)
    try:
        power.sweep_ports(hypervisor)
    except Unreachable:
        if needed:
            raise


def _remove(host: Domain, owned: list[Owned]) -> None:
    """Remove disks before the domain, so that an interrupted deletion can be done again."""
    left = list(filter(None, map(_hindrance, owned)))
    if left:
        raise ShctlError(
            f"host {host.name!r} is kept, since its disk could not be removed: {'; '.join(left)};"
            f" mend that, then 'shctl hosts delete {host.name}' again"
        )
    _remove_files(host.name)
    host.undefine()


def _remove_old_log(hypervisor: Hypervisor, console: str | None) -> None:
    """Remove the log of a host that was renamed, which is still called by its old name."""
    path = Path(console or "")
    if path == log_path(path.stem) and hypervisor.find_domain(path.stem) is None:
        remove_log(path)


def _hindrance(disk: Owned) -> str | None:
    """Remove a disk; return why it could not be removed."""
    try:
        disk.remove()
    except Unreachable:
        raise
    except (ShctlError, OSError) as error:
        return f"{disk.path} ({error})"
    return None


def _remove_files(host: str) -> None:
    try:
        names.check_host(host)
    except InvalidInput:
        return  # an adopted host; no file of ours is called "." or "*"
    remove_log(log_path(host))
    remove_boot_files(host)
