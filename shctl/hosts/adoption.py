"""Take over hosts that something else made."""

from pathlib import Path

from shctl import clock, domain, locks, metadata
from shctl.errors import Conflict, InvalidInput, NotFound
from shctl.handles import Domain
from shctl.hosts import deletion, details
from shctl.hypervisor import Hypervisor
from shctl.model import HostDetail


def adopt(hypervisor: Hypervisor, name: str, own_disks: tuple[str, ...]) -> HostDetail:
    """Write our metadata into a domain, after which its deletion works, and return the host.

    `own_disks` are the paths of those of its disks that go with it; no other disk ever does.
    Raises Conflict when the host is ours already, InvalidInput for a disk that is not its own.
    """
    hypervisor.check_changeable()
    with locks.hold("host", name):
        host = hypervisor.domain(name)
        if not host.persistent:
            raise Conflict(f"host {name!r} is transient; store it first with 'virsh define'")
        read = domain.read(host.xml(stored=True))
        if read.metadata is not None:
            raise Conflict(f"host {name!r} belongs to shctl already")
        for path in own_disks:
            _check_disk(hypervisor, host, {row.path for row in read.disks}, path)
        data = metadata.Metadata(clock.now(), paths=tuple(dict.fromkeys(own_disks)))
        host.set_metadata(metadata.text(data), metadata.URI, metadata.KEY)
    return details.show(hypervisor, name)


def _check_disk(hypervisor: Hypervisor, host: Domain, disks: set[str | None], path: str) -> None:
    if path not in disks:
        known = ", ".join(sorted(disk for disk in disks if disk)) or "none"
        raise InvalidInput(
            f"own_disks: {path} is no disk of host {host.name!r}; there are: {known}",
            field="own_disks",
        )
    others = [name for name in deletion.users_of(hypervisor, path) if name != host.name]
    if others:
        raise Conflict(f"own_disks: {path} is also used by {', '.join(others)}")
    _check_removable(hypervisor, path)


def _check_removable(hypervisor: Hypervisor, path: str) -> None:
    try:
        hypervisor.volume_at(path)
    except NotFound:
        if not Path(path).is_file():
            raise InvalidInput(
                f"own_disks: {path} is neither a plain file nor a volume of a libvirt pool,"
                " so shctl could not remove it",
                field="own_disks",
            ) from None
