"""Which disks are a host's own: those that its metadata lists and that its XML has as well."""

import os
import re
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shctl.common import files, names
from shctl.common.errors import NotFound
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.pools import Volume
from shctl.storage import usage
from shctl.storage.volumes import read_ceph
from shctl.xml import domain
from shctl.xml.disks import DiskRow
from shctl.xml.metadata import OwnedVolume


@dataclass(frozen=True)
class Owned:
    """A disk that goes with its host: `path`, how to remove it, and whether it is a mere file."""

    path: str
    remove: Callable[[], None]
    is_file: bool = False


@dataclass(frozen=True)
class Disks:
    """A host's own disks, and paths of what its metadata lists but its XML has not.

    `volumes` are those of them that libvirt knows, if the metadata was written for this host.
    """

    owned: tuple[Owned, ...]
    listed: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def owned_disks(hypervisor: Hypervisor, host: str, read: domain.Read) -> Disks:
    """Return the disks of a host's own that exist; raise Unseen where that is not certain.

    Anybody in group libvirt can write metadata, and it is copied with a host: it only picks from
    the disks in the XML. A host without any yet is one whose creation was interrupted: volumes of
    its own name are what that has made.
    """
    data = read.metadata
    if data is None:
        return Disks(())
    volumes = [volume for listed in data.volumes if (volume := _find(hypervisor, listed))]
    if not data.complete and not read.disks:
        return Disks(tuple(_volume(volume) for volume in volumes if _is_named_after(host, volume)))
    paths = dict.fromkeys((*(volume.path for volume in volumes), *data.paths))
    # Only what the XML has by no such path may be there by another one.
    aliases = set(paths) - {row.path for row in read.disks}
    found = [
        _volume_of(hypervisor, row, volumes)
        if row.volume or row.protocol
        else _local(hypervisor, row.path, row.path in paths, aliases)
        for row in read.disks
        if row.removable
    ]
    owned = {disk.path: disk for disk in found if disk}
    listed = tuple(path for path in paths if path not in owned)
    known = {volume.path for volume in volumes} if data.uuid else set()
    return Disks(tuple(owned.values()), listed, tuple(path for path in listed if path in known))


def _find(hypervisor: Hypervisor, listed: OwnedVolume) -> Volume | None:
    with suppress(NotFound):
        return hypervisor.pool(listed.pool).volume(listed.name)
    return None


def _volume(volume: Volume) -> Owned:
    return Owned(volume.path, volume.delete)


def _is_named_after(host: str, volume: Volume) -> bool:
    return bool(re.fullmatch(re.escape(names.volume(host, "sd")) + "[a-z]+", volume.name))


def _volume_of(hypervisor: Hypervisor, row: DiskRow, volumes: list[Volume]) -> Owned | None:
    return next((_volume(v) for v in volumes if _is_volume(hypervisor, row, v)), None)


def _is_volume(hypervisor: Hypervisor, row: DiskRow, volume: Volume) -> bool:
    """Tell whether a disk that is not given by its file is this volume."""
    if row.volume:
        return row.volume == (volume.pool, volume.name)
    if row.protocol != "rbd" or row.path != volume.path:
        return False
    # Two clusters may have images of one name.
    ceph = read_ceph(hypervisor.pool(volume.pool).xml())
    return ceph is not None and ceph.monitors == row.monitors


def _local(
    hypervisor: Hypervisor, path: str | None, listed: bool, aliases: Collection[str]
) -> Owned | None:
    """Return a file or device in the XML as a disk to remove, None unless it is the host's own."""
    if path is None or not (listed or _is_one_of(hypervisor, path, aliases)):
        return None
    with suppress(NotFound):
        return _volume(hypervisor.volume_at(path))
    facts = files.look(path, follow=False)
    return _file(path, facts) if facts and stat.S_ISREG(facts.st_mode) else None


def _is_one_of(hypervisor: Hypervisor, path: str, aliases: Collection[str]) -> bool:
    if not aliases:
        return False
    file = usage.identity(hypervisor, path)
    return any(usage.identity(hypervisor, alias) == file for alias in aliases)


def _file(path: str, facts: os.stat_result) -> Owned:
    return Owned(path, lambda: _unlink(Path(path), files.identity_of(facts)), is_file=True)


def _unlink(path: Path, known: files.Identity) -> None:
    """Remove a file unless another one has taken its place; gone already is fine."""
    facts = files.look(path, follow=False)
    if facts is not None and files.identity_of(facts) == known:
        path.unlink(missing_ok=True)
