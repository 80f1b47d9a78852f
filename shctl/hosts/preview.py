"""Return what a deletion would remove, for the question at the terminal."""

from dataclasses import dataclass

from shctl.common.errors import NotFound
from shctl.hosts import deletion, details
from shctl.hypervisor.connection import Hypervisor
from shctl.xml import domain


@dataclass(frozen=True)
class Preview:
    """A host to be deleted; `disks` counts the disks that it owns, `size` is their sum in GiB."""

    name: str
    running: bool
    disks: int
    size: float


def preview(hypervisor: Hypervisor, name: str, *, if_exists: bool = False) -> Preview | None:
    """Return what a deletion would remove, None for nothing; raise why it would be refused."""
    hypervisor.check_writable()
    try:
        host = hypervisor.domain(name)
    except NotFound:
        if if_exists:
            return None
        raise
    _, own = deletion.check(hypervisor, host, domain.read(host.xml(stored=True)))
    sizes = {disk.path: disk.size or 0 for disk in details.detail(hypervisor, host).disks}
    size = sum(sizes.get(disk.path, 0) for disk in own.owned)
    return Preview(name, host.active, len(own.owned), size)
