"""Delete hosts with the disks and files that they own, and nothing else."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from shctl.common import files, locks, names, paths
from shctl.common.errors import Conflict, InvalidInput, NoSpace, NotFound, ShctlError, Unreachable
from shctl.common.model import Outcome
from shctl.hosts import nvram
from shctl.hosts.console_log import log_path, remove_log
from shctl.hosts.log_writers import may_log_to
from shctl.hosts.owned_disks import Disks, OwnedDisk, owned_disks
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.install.boot_files import remove_boot_files
from shctl.networks import ports
from shctl.networks.choice import switch_of
from shctl.storage import holders, usage
from shctl.xml import domain, metadata
from shctl.xml.metadata import Metadata


def delete(hypervisor: Hypervisor, name: str, *, if_exists: bool = False) -> Outcome:
    """Delete a host in any state, with the disks that it owns.

    Raises NotFound, and Conflict if shctl does not manage the host or another one uses its disks.
    """
    hypervisor.check_writable()
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

    A host that has become complete since the caller checked is kept.
    """
    with locks.hold("host", name):
        host = hypervisor.domain(name)
        if is_interrupted(host):
            _delete(hypervisor, host)


def is_interrupted(host: Domain) -> bool:
    """Return whether a host of shctl's is incomplete, which is normal while its lock is held."""
    info = domain.read(host.xml(stored=True))
    data = info.metadata
    # shctl makes no transient hosts.
    if data is None or data.complete or not host.persistent or _runs_complete(host):
        return False
    if data.uuid:
        return True
    # Old metadata has no UUID. A copy has it too, but not the original's name and disks.
    prefix = names.volume(host.name, "sd")
    is_own = all(volume.name.startswith(prefix) for volume in data.volumes)
    listed = bool(data.volumes or data.paths)
    return listed and is_own and {row.path for row in info.disks} >= {*data.paths}


def _runs_complete(host: Domain) -> bool:
    """Return whether a host runs that was complete when it started.

    Another program may have stored XML that it read while the host was being created.
    """
    if not host.active:
        return False
    if host.hung:
        return True  # reading its XML would wait for QEMU; assume the safe answer
    data = domain.read(host.xml()).metadata
    return data is not None and data.complete


def _delete(hypervisor: Hypervisor, host: Domain) -> tuple[str, ...]:
    """Delete a host whose lock is held; return the paths of the disks that are kept."""
    xml = host.xml(stored=True)
    info = domain.read(xml)
    data, own = check(hypervisor, host, info)
    variables = nvram.foreign(hypervisor, host, xml)
    ran = host.active
    host.destroy()
    _mark(host, data)
    _remove_stale_ports(hypervisor, host, needed=ran)
    _remove(hypervisor, host, own.owned, nvram=variables is None)
    _remove_old_log(hypervisor, host, info.console)
    owned = {disk.path for disk in own.owned}
    disks = (row.path for row in info.disks)
    kept = dict.fromkeys(filter(None, (*disks, *own.volumes, variables)))
    # An earlier, interrupted deletion may have removed some.
    return tuple(path for path in kept if path not in owned and _may_exist(path))


def check(hypervisor: Hypervisor, host: Domain, info: domain.DomainInfo) -> tuple[Metadata, Disks]:
    """Return a host's metadata and its disks; change nothing.

    Raises Conflict for a host or a disk that must be kept, Unreachable if Open vSwitch is needed.
    """
    if info.metadata is None:
        origin = "is a copy of a host of shctl's" if info.copied else "was not made by shctl"
        raise Conflict(
            f"host {host.name!r} {origin}; 'shctl hosts adopt {host.name}' takes it over"
        )
    own = owned_disks(hypervisor, host.name, info)
    _check_unused(hypervisor, host, info, own)
    _check_removable(host, own)
    if host.active:
        switch_of(hypervisor).check()
    return info.metadata, own


def _mark(host: Domain, data: Metadata) -> None:
    """Mark the host as incomplete, so that `doctor` can finish an interrupted deletion."""
    # A transient domain ended with its QEMU. A full disk must not prevent freeing space.
    with suppress(NotFound, NoSpace):
        element = metadata.text(replace(data, complete=False))
        host.set_metadata(element, metadata.URI, metadata.KEY)


def _check_unused(
    hypervisor: Hypervisor, host: Domain, info: domain.DomainInfo, own: Disks
) -> None:
    """Raise Conflict if anything else uses, or may use, the host's disks."""
    owned = [disk.path for disk in own.owned]
    try:
        uses = usage.users_of(hypervisor, [*owned, *own.listed])
        for path, users in uses.items():
            for use in users:
                if _is_of(host, use):
                    _check_chain(hypervisor, host, info, owned, path, use.by)
    except Conflict as error:
        raise Conflict(f"host {host.name!r} is kept: {error}") from error
    for path in owned:
        others = [use for use in uses[path] if not _is_of(host, use)]
        if others:
            raise Conflict(
                f"host {host.name!r} is kept: its disk {path} is also used by"
                f" {', '.join(sorted(set(map(str, others))))}; {_remedy(others)}"
            )
    if not host.active:
        _check_unlocked(host.name, owned)


def _check_unlocked(host: str, paths: list[str]) -> None:
    try:
        for path in paths:
            holders.check_unlocked(path)
    except Conflict as error:
        raise Conflict(f"host {host!r} is kept: {error}") from error


def _remedy(users: list[usage.Use]) -> str:
    """Return how to free a disk; an image of no host cannot be detached."""
    loose = [use.host is None and not use.is_device for use in users]
    if all(loose):
        return "remove that image first, if nobody needs it"
    if any(loose):
        return "detach it there and remove the image of no host first"
    return "detach it there first"


def _is_of(host: Domain, use: usage.Use) -> bool:
    return use.host is not None and use.host.uuid == host.uuid


def _check_chain(
    hypervisor: Hypervisor, host: Domain, info: domain.DomainInfo, owned: list[str], path: str,
    top: str | None,
) -> None:  # fmt: skip
    """Raise Conflict if a disk `top` that would be kept depends on a disk listed as the host's own.

    The upper half of such a chain is useless without the lower one.
    """
    if top is None or usage.identity(hypervisor, top) in {
        usage.identity(hypervisor, disk) for disk in owned
    }:
        return
    target = next((row.target for row in info.disks if row.path == top), None)
    if target is None:
        raise Conflict(
            f"{top}, of a snapshot of it, depends on its disk {path}; check that nobody needs it,"
            " then remove it"
        )
    raise Conflict(
        f"its disk {top} depends on its disk {path}, as after an external snapshot; merge them"
        f" ('virsh blockcommit {host.name} {target} --active --pivot' while it runs),"
        f" remove {top}, then delete the host"
    )


def _check_removable(host: Domain, own: Disks) -> None:
    """Raise Conflict for a file in a directory that this process cannot write to.

    The service sees most of the file system read-only.
    """
    for disk in own.owned:
        if disk.is_file and not os.access(Path(disk.path).parent, os.W_OK):
            raise Conflict(
                f"host {host.name!r} is kept: its disk {disk.path} is read-only for this process;"
                f" 'shctl hosts delete {host.name}' in a root shell removes both"
            )


def _may_exist(path: str) -> bool:
    if not path.startswith("/"):
        return True
    with suppress(files.Unreadable):
        return files.exists(path)
    return True


def _remove_stale_ports(hypervisor: Hypervisor, host: Domain, *, needed: bool) -> None:
    """Remove stale ports; a host that was off can be deleted without Open vSwitch."""
    ports.note_deleted(host.uuid)
    try:
        ports.remove_stale(hypervisor)
    except Unreachable:
        if needed:
            raise


def _remove(
    hypervisor: Hypervisor, host: Domain, owned: tuple[OwnedDisk, ...], *, nvram: bool
) -> None:
    """Remove disks before the domain, so that an interrupted deletion can be repeated."""
    left = list(filter(None, map(_hindrance, owned)))
    if left:
        raise ShctlError(
            f"host {host.name!r} is kept, since its disk could not be removed: {'; '.join(left)};"
            f" mend that, then 'shctl hosts delete {host.name}' again"
        )
    _remove_files(hypervisor, host)
    host.undefine(nvram=nvram)


def _remove_old_log(hypervisor: Hypervisor, host: Domain, console: str | None) -> None:
    """Remove the log of a renamed host, which still has the host's old name."""
    path = Path(console or "")
    in_logs = (
        path.parent == paths.console_logs()
        and path.suffix == ".log"
        and names.is_file_name(path.stem)
    )
    if in_logs and path.stem != host.name and hypervisor.find_domain(path.stem) is None:
        _remove_log(hypervisor, host, path)


def _remove_log(hypervisor: Hypervisor, host: Domain, path: Path) -> None:
    """Remove a log unless another host writes to it, as a copy of this one does."""
    others = (other for other in hypervisor.domains() if other.uuid != host.uuid)
    if not any(may_log_to(path, other) for other in others):
        remove_log(path)


def _hindrance(disk: OwnedDisk) -> str | None:
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
        return  # an adopted host; shctl names no file "." or "*"
    _remove_log(hypervisor, host, log_path(host.name))
    remove_boot_files(host.name)
