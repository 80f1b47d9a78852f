"""Read what the deletion of a host depends on."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from shctl.common import files, names, paths
from shctl.common.errors import Conflict, InvalidInput
from shctl.hosts import nvram
from shctl.hosts.console_log import has_log, log_path
from shctl.hosts.deletion_plan import DeletionState
from shctl.hosts.log_writers import is_shared
from shctl.hosts.owned_disks import Disks, owned_disks
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definitions
from shctl.hypervisor.domain import Domain
from shctl.install import boot_files
from shctl.storage import holders, usage
from shctl.storage.usage import DiskUsage, Use
from shctl.xml import domain
from shctl.xml.boot import read_nvram

_Uses = dict[str, list[Use]]


def read_state(hypervisor: Hypervisor, host: Domain, disk_usage: DiskUsage) -> DeletionState:
    """Read a host's state; raise Conflict if something cannot be determined."""
    definitions = disk_usage.definitions
    # Its own XML is always read now: the caller holds its lock, or is about to ask a person.
    definitions.forget(host.uuid)
    xml = host.xml(stored=True)
    info, active = domain.read(xml), host.active
    disks = owned_disks(hypervisor, host.name, info)
    foreign_nvram = nvram.foreign(definitions, host, xml) if info.metadata else None
    try:
        uses = disk_usage.of([*(disk.path for disk in disks.owned), *disks.listed])
        owned_tops = _owned_tops(hypervisor, host, disks, uses)
        # Each QEMU of libvirt's has its disks locked.
        locked = frozenset() if active else _locked(disks)
    except Conflict as error:
        raise Conflict(f"host {host.name!r} is kept: {error}") from error
    others = (*(row.path for row in info.disks), *disks.volumes, foreign_nvram)
    return DeletionState(
        host.name,
        host.uuid,
        active,
        info,
        disks,
        uses,
        owned_tops,
        locked,
        absent=frozenset(path for path in others if path and not _may_exist(path)),
        nvram=None if foreign_nvram else read_nvram(xml),
        foreign_nvram=foreign_nvram,
        left_nvram=nvram.left(definitions, host, info),
        logs=tuple(_logs(hypervisor, host, info.console, definitions)),
        has_boot_files=_has_boot_files(host.name),
    )


def _owned_tops(hypervisor: Hypervisor, host: Domain, disks: Disks, uses: _Uses) -> frozenset[str]:
    """Return the images of the host's own chains that are disks which it owns, by any path."""
    own = [
        use for found in uses.values() for use in found if use.host and use.host.uuid == host.uuid
    ]
    tops = {use.by for use in own if use.by}
    if not tops:
        return frozenset()
    owned = {usage.identity(hypervisor, disk.path) for disk in disks.owned}
    return frozenset(top for top in tops if usage.identity(hypervisor, top) in owned)


def _locked(disks: Disks) -> frozenset[str]:
    return frozenset(disk.path for disk in disks.owned if holders.is_locked(disk.path))


def _may_exist(path: str) -> bool:
    if not path.startswith("/"):  # such as a Ceph image
        return True
    with suppress(files.Unreadable):
        return files.exists(path)
    return True


def _logs(
    hypervisor: Hypervisor, host: Domain, console: str | None, definitions: Definitions
) -> Iterator[Path]:
    """Yield the host's console logs, but for those that another host, such as a copy, writes to."""
    for path in _log_paths(hypervisor, host, console):
        if has_log(path) and not is_shared(path, host.uuid, definitions):
            yield path


def _log_paths(hypervisor: Hypervisor, host: Domain, console: str | None) -> Iterator[Path]:
    """Yield the path of the host's log, and that under the old name of a renamed host."""
    if _is_valid(host.name):
        yield log_path(host.name)
    old = Path(console or "")
    in_logs = (
        old.parent == paths.console_logs() and old.suffix == ".log" and names.is_file_name(old.stem)
    )
    if in_logs and old.stem != host.name and hypervisor.find_domain(old.stem) is None:
        yield old


def _has_boot_files(host: str) -> bool:
    return _is_valid(host) and _may_exist(str(boot_files.directory(host)))


def _is_valid(host: str) -> bool:
    """Return whether shctl can have made files by a host's name: an adopted one may be ".."."""
    with suppress(InvalidInput):
        names.check_host(host)
        return True
    return False
