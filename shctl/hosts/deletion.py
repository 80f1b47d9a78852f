"""Delete hosts with what is theirs, and nothing else."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from shctl.common import files, locks, names
from shctl.common.errors import Conflict, InvalidInput, NoSpace, NotFound, ShctlError, Unreachable
from shctl.common.model import Outcome
from shctl.hosts import nvram, power
from shctl.hosts.console_log import LOGS, log_path, may_log_to, remove_log
from shctl.hosts.owned_disks import Disks, Owned, owned_disks
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.handles import Domain
from shctl.install.boot_files import remove_boot_files
from shctl.networks import ports
from shctl.storage import holders, usage
from shctl.xml import domain, metadata
from shctl.xml.metadata import Metadata


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
    read = domain.read(host.xml(stored=True))
    data = read.metadata
    # No host of ours is transient.
    if data is None or data.complete or not host.persistent or _runs_complete(host):
        return False
    if data.uuid:
        return True
    # A copy of an old host has its metadata, in which no UUID says so; but not its name and disks.
    prefix = names.volume(host.name, "sd")
    is_own = all(volume.name.startswith(prefix) for volume in data.volumes)
    listed = bool(data.volumes or data.paths)
    return listed and is_own and {row.path for row in read.disks} >= {*data.paths}


def _runs_complete(host: Domain) -> bool:
    """Tell whether a host runs that was complete when it started.

    Another program may have stored again what it read while the host was being created.
    """
    if not host.active:
        return False
    if host.hung:
        return True  # its XML would wait for QEMU, and what cannot be seen is not decided
    data = domain.read(host.xml()).metadata
    return data is not None and data.complete


def _delete(hypervisor: Hypervisor, host: Domain) -> tuple[str, ...]:
    """Delete a host whose lock is held; return the paths of disks that are not its own."""
    xml = host.xml(stored=True)
    read = domain.read(xml)
    data, own = check(hypervisor, host, read)
    variables = nvram.foreign(hypervisor, host, xml)
    ran = host.active
    host.destroy()
    _mark(host, data)
    _sweep(hypervisor, host, needed=ran)
    _remove(hypervisor, host, own.owned, nvram=variables is None)
    _remove_old_log(hypervisor, host, read.console)
    ours = {disk.path for disk in own.owned}
    disks = (row.path for row in read.disks)
    kept = dict.fromkeys(filter(None, (*disks, *own.volumes, variables)))
    # An interrupted deletion before this one may have removed some already.
    return tuple(path for path in kept if path not in ours and _may_be_there(path))


def check(hypervisor: Hypervisor, host: Domain, read: domain.Read) -> tuple[Metadata, Disks]:
    """Return what is known of a host and of its disks; change nothing.

    Raises Conflict for a host or a disk that has to stay, Unreachable when Open vSwitch is needed.
    """
    if read.metadata is None:
        origin = "is a copy of a host of shctl's" if read.copied else "was not made by shctl"
        raise Conflict(
            f"host {host.name!r} {origin}; 'shctl hosts adopt {host.name}' takes it over"
        )
    own = owned_disks(hypervisor, host.name, read)
    _check_unused(hypervisor, host, read, own)
    _check_removable(host, own)
    if host.active:
        power.check_switch(hypervisor)
    return read.metadata, own


def _mark(host: Domain, data: Metadata) -> None:
    """Note that the host is no longer whole, so that `doctor` ends an interrupted deletion."""
    # A transient domain has gone with its QEMU, and a full disk must not keep us from making room.
    with suppress(NotFound, NoSpace):
        element = metadata.text(replace(data, complete=False))
        host.set_metadata(element, metadata.URI, metadata.KEY)


def _check_unused(hypervisor: Hypervisor, host: Domain, read: domain.Read, own: Disks) -> None:
    """Raise Conflict where anything else uses the host's disks, or may do so."""
    ours = [disk.path for disk in own.owned]
    try:
        uses = usage.users_of(hypervisor, [*ours, *own.listed])
        for path, users in uses.items():
            for use in users:
                if _is_of(host, use):
                    _check_chain(hypervisor, host, read, ours, path, use.by)
    except Conflict as error:
        raise Conflict(f"host {host.name!r} is kept: {error}") from error
    for path in ours:
        others = [use for use in uses[path] if not _is_of(host, use)]
        if others:
            raise Conflict(
                f"host {host.name!r} is kept: its disk {path} is also used by"
                f" {', '.join(sorted(set(map(str, others))))}; {_remedy(others)}"
            )
    if not host.active:
        _check_unlocked(host.name, ours)


def _check_unlocked(host: str, paths: list[str]) -> None:
    try:
        for path in paths:
            holders.check_unlocked(path)
    except Conflict as error:
        raise Conflict(f"host {host!r} is kept: {error}") from error


def _remedy(users: list[usage.Use]) -> str:
    """Say what frees a disk: an image of no host cannot be detached from anything."""
    loose = [use.host is None and not use.is_device for use in users]
    if all(loose):
        return "remove that image first, unless somebody needs it"
    if any(loose):
        return "detach it there, and remove the image of no host, first"
    return "detach it there first"


def _is_of(host: Domain, use: usage.Use) -> bool:
    return use.host is not None and use.host.uuid == host.uuid


def _check_chain(
    hypervisor: Hypervisor, host: Domain, read: domain.Read, ours: list[str], path: str,
    top: str | None,
) -> None:  # fmt: skip
    """Raise Conflict where a disk `top` that would stay stands on what the host lists as its own.

    Half of such a chain is of no use to anybody.
    """
    if top is None or usage.identity(hypervisor, top) in {
        usage.identity(hypervisor, disk) for disk in ours
    }:
        return
    target = next((row.target for row in read.disks if row.path == top), None)
    if target is None:
        raise Conflict(
            f"{top}, of a snapshot of it, stands on its disk {path}; look at it, and remove it"
        )
    raise Conflict(
        f"its disk {top} stands on its disk {path}, as after an external snapshot; merge them"
        f" ('virsh blockcommit {host.name} {target} --active --pivot' while it runs),"
        f" remove {top}, then delete the host"
    )


def _check_removable(host: Domain, own: Disks) -> None:
    """Raise Conflict for a file that this process may not remove, which a service may see so."""
    for disk in own.owned:
        if disk.is_file and not os.access(Path(disk.path).parent, os.W_OK):
            raise Conflict(
                f"host {host.name!r} is kept: its disk {disk.path} is read-only for this process;"
                f" 'shctl hosts delete {host.name}' in a root shell removes both"
            )


def _may_be_there(path: str) -> bool:
    if not path.startswith("/"):
        return True
    with suppress(files.Unseen):
        return files.is_there(path)
    return True


def _sweep(hypervisor: Hypervisor, host: Domain, *, needed: bool) -> None:
    """Remove the ports' rows; a host that did not run can go without Open vSwitch."""
    ports.note_deleted(host.uuid)
    try:
        power.sweep_ports(hypervisor)
    except Unreachable:
        if needed:
            raise


def _remove(hypervisor: Hypervisor, host: Domain, owned: tuple[Owned, ...], *, nvram: bool) -> None:
    """Remove disks before the domain, so that an interrupted deletion can be done again."""
    left = list(filter(None, map(_hindrance, owned)))
    if left:
        raise ShctlError(
            f"host {host.name!r} is kept, since its disk could not be removed: {'; '.join(left)};"
            f" mend that, then 'shctl hosts delete {host.name}' again"
        )
    _remove_files(hypervisor, host)
    host.undefine(nvram=nvram)


def _remove_old_log(hypervisor: Hypervisor, host: Domain, console: str | None) -> None:
    """Remove the log of a host that was renamed, which is still called by its old name."""
    path = Path(console or "")
    is_ours = path.parent == LOGS and path.suffix == ".log" and names.is_file_name(path.stem)
    if is_ours and path.stem != host.name and hypervisor.find_domain(path.stem) is None:
        _remove_log(hypervisor, host, path)


def _remove_log(hypervisor: Hypervisor, host: Domain, path: Path) -> None:
    """Remove a log unless another host writes to it, as a copy of this one does."""
    others = (other for other in hypervisor.domains() if other.uuid != host.uuid)
    if not any(may_log_to(path, other) for other in others):
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


def _remove_files(hypervisor: Hypervisor, host: Domain) -> None:
    try:
        names.check_host(host.name)
    except InvalidInput:
        return  # an adopted host; no file of ours is called "." or "*"
    _remove_log(hypervisor, host, log_path(host.name))
    remove_boot_files(host.name)
