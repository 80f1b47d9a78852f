"""Find who uses a disk: hosts, running or stored, and images that depend on it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from shctl.common import files
from shctl.common.errors import Conflict, NotFound, ShctlError
from shctl.common.timeout import run_with_timeout
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definition, Definitions
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.pools import Pool
from shctl.storage import holders, images
from shctl.xml import disks
from shctl.xml.disks import RAW, Layer
from shctl.xml.storage import read_pool, read_volume

LIMIT = 60.0  # seconds; a file system may hang
_DIRECTORIES = ("dir", "fs", "netfs")  # types of pools whose volumes are files in a directory


@dataclass(frozen=True)
class Use:
    """A use of a file or device: by a host, by an image or device `by` on top of it, or both."""

    path: str
    host: Domain | None
    by: str | None = None

    @property
    def is_device(self) -> bool:
        """Return whether a device that belongs to no host depends on the file."""
        return self.host is None and str(self.by).startswith("/dev/")

    def __str__(self) -> str:
        if self.host is None:
            what = "a device" if self.is_device else "an image of no host"
            return f"{self.by} ({what} that depends on it)"
        return f"{self.host.name} (its disk {self.by} depends on it)" if self.by else self.host.name


def users_of(hypervisor: Hypervisor, paths: Collection[str]) -> dict[str, list[Use]]:
    """Return the uses of each file or device; see DiskUsage.of."""
    return DiskUsage(hypervisor, Definitions(hypervisor)).of(paths)


class DiskUsage:
    """Who uses which disk, for a command that asks about the disks of several hosts.

    What the hosts use is read as often as `definitions` reads them, images and devices each time.
    """

    def __init__(self, hypervisor: Hypervisor, definitions: Definitions) -> None:
        self._hypervisor = hypervisor
        self.definitions = definitions
        # By UUID; a definition that was read again is another object.
        self._hosts: dict[str, tuple[Definition, _HostFiles]] = {}

    def of(self, paths: Collection[str]) -> dict[str, list[Use]]:
        """Return the uses of each file or device, by any of its paths.

        Raises Conflict if that cannot be determined: an unreadable file may be in use.
        """
        if not paths:
            return {}
        late = Conflict(f"finding out who uses {', '.join(paths)} took more than {LIMIT:g} s")
        return run_with_timeout(LIMIT, lambda: self._of(paths), late)

    def _of(self, paths: Collection[str]) -> dict[str, list[Use]]:
        # Two paths may be one file: a host's XML and its metadata may use different ones.
        identities = {path: identity(self._hypervisor, path) for path in paths}
        found: dict[files.Identity, list[Use]] = {file: [] for file in identities.values()}
        for use in self._uses(identities):
            file = identities.get(use.path) or _identity(self._hypervisor, use.path, found)
            if file in found:
                found[file].append(use)
        return {path: found[file] for path, file in identities.items()}

    def _uses(self, identities: dict[str, files.Identity]) -> Iterator[Use]:
        """Yield uses by hosts, then by images of no host in pools and in the same folders."""
        attached: set[files.Identity] = set()
        for definition in self.definitions.all():
            with suppress(NotFound):  # deleted meanwhile
                for use in self._files(definition).uses_of(identities):
                    with suppress(files.Unreadable):
                        attached.add(files.identity(use.path))
                    yield use
        yield from _loop_devices()
        seen = {str(Path(path).parent) for path in identities if path.startswith("/")}
        for folder in sorted(seen):
            yield from _loose(folder, attached)
        for pool in self._hypervisor.pools():
            yield from _in_pool(pool, attached, seen)

    def _files(self, definition: Definition) -> _HostFiles:
        uuid = definition.host.uuid
        known = self._hosts.get(uuid)
        if known is None or known[0] is not definition:
            known = self._hosts[uuid] = definition, _files_of(self._hypervisor, definition)
        return known[1]


@dataclass(frozen=True)
class _HostFiles:
    """What a host uses: `uses` of disks, `volumes` by name that libvirt cannot locate, `others`."""

    host: Domain
    uses: tuple[Use, ...]
    volumes: frozenset[str]
    others: frozenset[str]

    def uses_of(self, identities: dict[str, files.Identity]) -> Iterator[Use]:
        """Yield the uses of disks, and those of other files that are among `identities`."""
        # Mostly sockets and terminals of running hosts, which the service may not read.
        for path in self.others:
            with suppress(files.Unreadable):
                if path in identities or files.identity(path) in identities.values():
                    yield Use(path, self.host)
        # The directory of an inactive or missing pool is unknown; its volume's file has its name.
        yield from (Use(path, self.host) for path in identities if Path(path).name in self.volumes)
        yield from self.uses


def _identity(
    hypervisor: Hypervisor, path: str, candidates: Collection[files.Identity]
) -> files.Identity | None:
    """Return a file's identity, None for an unreadable device that cannot be a candidate."""
    try:
        return identity(hypervisor, path)
    except files.Unreadable:
        # A device, such as a CD-ROM drive, is not one of these files.
        if path.startswith("/dev/") and all(known[0] == "file" for known in candidates):
            return None
        raise


def identity(hypervisor: Hypervisor, path: str) -> files.Identity:
    """Return what all paths of a file or device have in common; raise Unreadable.

    The service has a private /dev, but libvirt knows the devices that are volumes.
    """
    try:
        return files.identity(path)
    except files.Unreadable:
        if path.startswith("/dev/"):
            with suppress(NotFound):
                return hypervisor.volume_at(path).path
        raise


def _loop_devices() -> Iterator[Use]:
    for device, path in holders.loops():
        # The service cannot read every file; those are not disks of its hosts.
        with suppress(files.Unreadable):
            files.identity(path)
            yield Use(path, None, device)


def _files_of(hypervisor: Hypervisor, definition: Definition) -> _HostFiles:
    layers, others = _layers(hypervisor, definition)
    volumes = frozenset(layer.volume[1] for layer in layers if layer.volume)
    return _HostFiles(definition.host, tuple(_disk_uses(definition.host, layers)), volumes, others)


def _disk_uses(host: Domain, layers: list[Layer]) -> Iterator[Use]:
    certain = {layer.path for layer in layers if layer.complete}
    for layer in dict.fromkeys(replace(layer, complete=False) for layer in layers):
        if layer.path is None:
            continue
        yield Use(layer.path, host)
        for path in _below(host, layer, certain=layer.path in certain):
            yield Use(path, host, layer.path)


def _layers(hypervisor: Hypervisor, definition: Definition) -> tuple[list[Layer], frozenset[str]]:
    """Return the images of a host's disks, running, stored and saved, and its other files."""
    if definition.hung:
        return [Layer(path, format=RAW) for path in definition.host.open_disks()], frozenset()
    texts = {*definition.texts, definition.saved}
    used = [disks.read_files(xml) for xml in texts if xml]
    layers = [layer for one in used for layer in one.layers]
    for snapshot in definition.snapshots:
        layers += disks.read_snapshot(snapshot)
    others = frozenset[str]().union(*(one.others for one in used))
    return [_placed(hypervisor, layer) for layer in layers], others


def _placed(hypervisor: Hypervisor, layer: Layer) -> Layer:
    """Return a layer with its path if the XML names a volume; unchanged if its pool is inactive."""
    if layer.volume is None:
        return layer
    with suppress(NotFound):
        pool = hypervisor.pool(layer.volume[0])
        if not pool.active:
            return layer
        path = None
        with suppress(NotFound):
            path = pool.volume(layer.volume[1]).path
        return Layer(path, None, None, layer.format, layer.complete)
    return layer


def _below(host: Domain, layer: Layer, *, certain: bool) -> list[str]:
    """Return the files below a layer; `certain` says that libvirt lists all of them itself."""
    if layer.path is None or layer.format == RAW or (certain and layer.protocol):
        return []
    unknown = f"cannot find out what disk {layer.path} of host {host.name!r} depends on"
    if layer.protocol or not layer.path.startswith("/"):
        raise Conflict(f"{unknown}: it is a network image; detach it from that host first")
    try:
        return [*images.dependencies(layer.path, layer.format)]
    except files.Unreadable:
        # The file of a running host belongs to QEMU's user; the service may not read it.
        if certain:
            return []
        raise
    except images.Unresolved as error:
        raise Conflict(f"{unknown}: {error}; repair or detach that image first") from error


def _in_pool(pool: Pool, attached: Collection[files.Identity], seen: set[str]) -> Iterator[Use]:
    info = read_pool(pool.xml())
    folder = info.path
    if info.type == "logical" and pool.active:
        yield from _snapshots(pool)
    elif info.type in _DIRECTORIES and folder not in seen:
        seen.add(folder)
        try:
            yield from _loose(folder, attached)
        except files.Unreadable:
            _check_all_raw(pool)


def _loose(folder: str, attached: Collection[files.Identity]) -> Iterator[Use]:
    """Yield the files below the images in a directory, except images attached to hosts.

    A host's raw disk depends on nothing, even if its guest wrote an image header to it.
    """
    for path in map(str, files.children(folder)):
        facts = files.stat_or_none(path)
        if facts is None or not stat.S_ISREG(facts.st_mode):
            continue
        if files.identity_of(facts) in attached or not images.may_have_backing(path):
            continue
        try:
            yield from (Use(lower, None, path) for lower in images.dependencies(path, None))
        except images.Unresolved as error:
            raise Conflict(
                f"cannot find out what {path} depends on: {error};"
                " repair that image or move it away first"
            ) from error


def _check_all_raw(pool: Pool) -> None:
    """Raise Unreadable unless libvirt, which runs as root, finds only raw volumes in a pool."""
    try:
        pool.refresh()
        volumes = [(volume.path, read_volume(volume.xml())) for volume in pool.volumes()]
    except ShctlError as error:
        raise files.Unreadable(f"{error}; run the command again in a root shell") from error
    for path, info in volumes:
        if info.format is not None and info.format not in (RAW, "iso"):
            raise files.unreadable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _snapshots(pool: Pool) -> Iterator[Use]:
    """Yield the origins of logical snapshots: removing an origin removes its snapshots."""
    for volume in pool.volumes():
        if lower := read_volume(volume.xml()).backing:
            yield Use(lower, None, volume.path)
