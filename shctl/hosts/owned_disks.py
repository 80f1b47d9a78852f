"""Find the disks that a host owns: those in both its metadata and its XML."""

import os
import re
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shctl.common import files, names
from shctl.common.errors import NotFound, ShctlError
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.pools import Volume
from shctl.storage import usage
from shctl.xml import domain
from shctl.xml.disks import DiskRow
from shctl.xml.metadata import OwnedVolume
from shctl.xml.storage import read_pool


@dataclass(frozen=True)
class OwnedDisk:
    """A disk that is removed with its host: `what` describes it, `size` is in GiB if known.

    `removable` is False for a file that this process may not unlink; libvirtd unlinks volumes.
    """

    path: str
    remove: Callable[[], None]
    what: str
    size: float | None = None
    removable: bool = True


@dataclass(frozen=True)
class Disks:
    """The disks that a host owns, and the paths in its metadata that its XML does not have.

    `volumes` are the latter's paths that are libvirt volumes, if the metadata has this host's UUID.
    """

    owned: tuple[OwnedDisk, ...]
    listed: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def owned_disks(hypervisor: Hypervisor, host: str, info: domain.DomainInfo) -> Disks:
    """Return the existing disks that a host owns; raise Unreadable if that is not certain.

    Anybody in group libvirt can write metadata, and virt-clone copies it: it only selects from the
    disks in the XML. An incomplete host without disks is an interrupted creation, which owns the
    volumes named after it.
    """
    data = info.metadata
    if data is None:
        return Disks(())
    volumes = [volume for listed in data.volumes if (volume := _find(hypervisor, listed))]
    if not data.complete and not info.disks:
        return Disks(tuple(_volume(volume) for volume in volumes if _is_named_after(host, volume)))
    paths = dict.fromkeys((*(volume.path for volume in volumes), *data.paths))
    # A path in the metadata that the XML lacks may be another path of one of its disks.
    aliases = set(paths) - {row.path for row in info.disks}
    disks = [
        _volume_of(hypervisor, row, volumes)
        if row.volume or row.protocol
        else _local(hypervisor, row.path, row.path in paths, aliases)
        for row in info.disks
        if row.removable
    ]
    owned = {disk.path: disk for disk in disks if disk}
    listed = tuple(path for path in paths if path not in owned)
    known = {volume.path for volume in volumes} if data.uuid else set()
    return Disks(tuple(owned.values()), listed, tuple(path for path in listed if path in known))


def _find(hypervisor: Hypervisor, listed: OwnedVolume) -> Volume | None:
    with suppress(NotFound):
        return hypervisor.pool(listed.pool).volume(listed.name)
    return None


def _volume(volume: Volume) -> OwnedDisk:
    size = None
    with suppress(ShctlError):  # only shown; its pool may be inactive
        size = volume.capacity
    return OwnedDisk(volume.path, volume.delete, f"volume {volume.name} ({volume.path})", size)


def _is_named_after(host: str, volume: Volume) -> bool:
    return bool(re.fullmatch(re.escape(names.volume(host, "sd")) + "[a-z]+", volume.name))


def _volume_of(hypervisor: Hypervisor, row: DiskRow, volumes: list[Volume]) -> OwnedDisk | None:
    return next((_volume(v) for v in volumes if _is_volume(hypervisor, row, v)), None)


def _is_volume(hypervisor: Hypervisor, row: DiskRow, volume: Volume) -> bool:
    """Return whether a disk that the XML does not name by a file is this volume."""
    if row.volume:
        return row.volume == (volume.pool, volume.name)
    if row.protocol != "rbd" or row.path != volume.path:
        return False
    # Two Ceph clusters may have images of the same name.
    ceph = read_pool(hypervisor.pool(volume.pool).xml()).ceph
    return ceph is not None and ceph.monitors == row.monitors


def _local(
    hypervisor: Hypervisor, path: str | None, listed: bool, aliases: Collection[str]
) -> OwnedDisk | None:
    """Return the disk at a path of the XML, None unless the host owns it."""
    if path is None or not (listed or _is_one_of(hypervisor, path, aliases)):
        return None
    with suppress(NotFound):
        return _volume(hypervisor.volume_at(path))
    facts = files.stat_or_none(path, follow=False)
    return _file(path, facts) if facts and stat.S_ISREG(facts.st_mode) else None


def _is_one_of(hypervisor: Hypervisor, path: str, aliases: Collection[str]) -> bool:
    if not aliases:
        return False
    file = usage.identity(hypervisor, path)
    return any(usage.identity(hypervisor, alias) == file for alias in aliases)


def _file(path: str, facts: os.stat_result) -> OwnedDisk:
    return OwnedDisk(
        path,
        lambda: _unlink(Path(path), files.identity_of(facts)),
        f"file {path}",
        removable=os.access(Path(path).parent, os.W_OK),
    )


def _unlink(path: Path, expected: files.Identity) -> None:
    """Remove a file unless another one has replaced it; a missing one is no error."""
    facts = files.stat_or_none(path, follow=False)
    if facts is not None and files.identity_of(facts) == expected:
        path.unlink(missing_ok=True)
