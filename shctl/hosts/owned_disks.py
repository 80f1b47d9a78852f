"""Find the disks that a host owns: those in both its metadata and its XML."""

import os
import re
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from shctl.common import files, names
from shctl.common.errors import NotFound, ShctlError
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.pools import Volume
from shctl.storage import usage
from shctl.xml import domain
from shctl.xml.disks import DiskRow
from shctl.xml.metadata import Metadata, OwnedVolume
from shctl.xml.storage import read_pool


@dataclass(frozen=True)
class OwnedDisk:
    """A disk that is removed with its host: `what` describes it, `size` is in GiB if known.

    `removable` is False for a file that this process may not unlink; libvirtd unlinks volumes.
    `volume` is None for a plain file. `target` is its device name in the XML, "" without one.
    """

    path: str
    remove: Callable[[], None]
    what: str
    size: float | None = None
    removable: bool = True
    volume: Volume | None = None
    target: str = ""


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
    disks in the XML. What an interrupted creation or addition of a disk has left is not in the
    XML: an incomplete host without disks owns the volumes named after it, and any host those of
    them that are pending.
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
        _owned(hypervisor, row, volumes, paths, aliases) for row in info.disks if row.removable
    ]
    # Of two disks with one image, the first.
    owned = {disk.path: disk for disk in reversed(disks) if disk}
    owned |= {volume.path: _volume(volume) for volume in left_over(hypervisor, host, info, data)}
    listed = tuple(path for path in paths if path not in owned)
    known = {volume.path for volume in volumes} if data.uuid else set()
    return Disks(tuple(owned.values()), listed, tuple(path for path in listed if path in known))


def _owned(
    hypervisor: Hypervisor,
    row: DiskRow,
    volumes: list[Volume],
    paths: Collection[str],
    aliases: Collection[str],
) -> OwnedDisk | None:
    """Return a disk of the XML with its target, None unless the host owns it."""
    disk = (
        _volume_of(hypervisor, row, volumes)
        if row.volume or row.protocol
        else _local(hypervisor, row.path, row.path in paths, aliases)
    )
    return disk and replace(disk, target=row.target)


def left_over(
    hypervisor: Hypervisor, host: str, info: domain.DomainInfo, data: Metadata
) -> list[Volume]:
    """Return the pending volumes that are named after the host and none of its disks."""
    pending = [listed for listed in data.volumes if listed.pending and data.uuid]
    found = [volume for listed in pending if (volume := _find(hypervisor, listed))]
    return [
        volume
        for volume in found
        if _is_named_after(host, volume)
        and not any(is_same(hypervisor, row, volume) for row in info.disks)
    ]


def is_same(hypervisor: Hypervisor, row: DiskRow, volume: Volume) -> bool:
    """Return whether a disk of the XML may be this volume, by any of its paths."""
    if row.volume:
        return row.volume == (volume.pool, volume.name)
    if row.path is None or row.path == volume.path:
        return row.path is not None
    return not row.protocol and _is_one_of(hypervisor, row.path, (volume.path,))


def _find(hypervisor: Hypervisor, listed: OwnedVolume) -> Volume | None:
    with suppress(NotFound):
        return hypervisor.pool(listed.pool).volume(listed.name)
    return None


def _volume(volume: Volume) -> OwnedDisk:
    size = None
    with suppress(ShctlError):  # only shown; its pool may be inactive
        size = volume.capacity
    what = f"volume {volume.name} ({volume.path})"
    return OwnedDisk(volume.path, volume.delete, what, size, volume=volume)


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
