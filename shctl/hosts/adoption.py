"""Adopt hosts that other programs created."""

from shctl.common import clock, files, locks, names
from shctl.common.errors import Conflict, InvalidInput, NotFound
from shctl.common.model import ChangePlan, HostDetail, PlannedStep
from shctl.hosts import details
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.storage import usage
from shctl.xml import domain, metadata


def adopt(hypervisor: Hypervisor, name: str, own_disks: tuple[str, ...]) -> HostDetail:
    """Write shctl's metadata into a domain, so that shctl can delete it, and return the host.

    `own_disks` are the paths of the disks to delete with the host; all other disks are kept.
    Raises Conflict when shctl manages the host already, InvalidInput for a path that is not one
    of its disks.
    """
    hypervisor.check_writable()
    with locks.hold("host", name):
        host = _find_adoptable(hypervisor, name, own_disks)
        data = metadata.Metadata(clock.now(), paths=tuple(dict.fromkeys(own_disks)), uuid=host.uuid)
        host.set_metadata(metadata.text(data), metadata.URI, metadata.KEY)
    return details.show(hypervisor, name)


def plan(hypervisor: Hypervisor, name: str, own_disks: tuple[str, ...]) -> ChangePlan:
    """Return what adopt() would do, and raise what it would raise."""
    hypervisor.check_writable()
    _find_adoptable(hypervisor, name, own_disks)
    disks = ", ".join(dict.fromkeys(own_disks)) or "none"
    text = f"Write shctl's metadata into the XML of host {name!r}; disks of its own: {disks}."
    return ChangePlan(name, (PlannedStep("adopt", f"host {name}", text),))


def _find_adoptable(hypervisor: Hypervisor, name: str, own_disks: tuple[str, ...]) -> Domain:
    host = hypervisor.domain(name)
    if not host.persistent:
        raise Conflict(f"host {name!r} is transient; make it persistent with 'virsh define' first")
    info = domain.read(host.xml(stored=True))
    if info.metadata is not None and not _may_be_copied(info, info.metadata, name):
        raise Conflict(f"host {name!r} is managed by shctl already")
    _check_disks(hypervisor, host, info, own_disks)
    return host


def _may_be_copied(info: domain.DomainInfo, data: metadata.Metadata, name: str) -> bool:
    """Return whether metadata of an old version, which has no UUID, may belong to another host."""
    prefix = names.volume(name, "sd")
    is_own = all(volume.name.startswith(prefix) for volume in data.volumes)
    return data.uuid is None and not (is_own and {row.path for row in info.disks} >= {*data.paths})


def _check_disks(
    hypervisor: Hypervisor, host: Domain, info: domain.DomainInfo, own_disks: tuple[str, ...]
) -> None:
    """Raise InvalidInput unless all are removable disks, Conflict if another host uses one."""
    disks = {row.path: row for row in info.disks if row.path}
    for path in own_disks:
        if path not in disks:
            raise InvalidInput(
                f"own_disks: {path} is not a disk of host {host.name!r}; its disks are:"
                f" {', '.join(sorted(disks)) or 'none'}",
                field="own_disks",
            )
        if not disks[path].removable:
            raise _refusal(path, "is read-only or shared in the host's XML")
        _check_removable(hypervisor, path)
    for path, uses in usage.users_of(hypervisor, own_disks).items():
        others = {str(use) for use in uses if use.host is None or use.host.uuid != host.uuid}
        if others:
            raise Conflict(f"own_disks: {path} is also used by {', '.join(sorted(others))}")


def _check_removable(hypervisor: Hypervisor, path: str) -> None:
    try:
        hypervisor.volume_at(path)
    except NotFound:
        if not files.is_regular(path):
            raise _refusal(
                path, "is neither a regular file nor a volume of a libvirt pool"
            ) from None


def _refusal(path: str, reason: str) -> InvalidInput:
    text = f"own_disks: {path} {reason}, so shctl could not remove it"
    return InvalidInput(text, field="own_disks")
