"""Who uses a disk: hosts, running or stored, and images that stand on it, attached or not."""

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from shctl.common import files
from shctl.common.errors import Conflict, NotFound, ShctlError
from shctl.common.timeout import within
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.handles import Domain
from shctl.hypervisor.pools import Pool
from shctl.storage import holders, images
from shctl.xml import disks, domain
from shctl.xml.disks import RAW, Layer

LIMIT = 60.0  # seconds; what a file system that hangs may take
_DIRECTORIES = ("dir", "fs", "netfs")  # pools whose volumes are files in one directory


@dataclass(frozen=True)
class Use:
    """A file or device that is in use: by a host, by an image `by` that stands on it, or both."""

    path: str
    host: Domain | None
    by: str | None = None

    @property
    def is_device(self) -> bool:
        """Tell whether it is a device of no host's that stands on the file."""
        return self.host is None and str(self.by).startswith("/dev/")

    def __str__(self) -> str:
        if self.host is None:
            what = "a device" if self.is_device else "an image of no host"
            return f"{self.by} ({what} that stands on it)"
        return f"{self.host.name} (its disk {self.by} stands on it)" if self.by else self.host.name


def users_of(hypervisor: Hypervisor, paths: Collection[str]) -> dict[str, list[Use]]:
    """Return who uses files or devices, for each of them, whatever path they call it by.

    Raises Conflict where that cannot be found out, for what is unseen may be in use.
    """
    if not paths:
        return {}
    late = Conflict(f"it takes more than {LIMIT:g} s to find out who uses {', '.join(paths)}")
    return within(LIMIT, lambda: _users(hypervisor, paths), late)


def _users(hypervisor: Hypervisor, paths: Collection[str]) -> dict[str, list[Use]]:
    # Two of the paths may name one file, as a host's XML and its metadata may.
    wanted = {path: identity(hypervisor, path) for path in paths}
    found: dict[files.Identity, list[Use]] = {file: [] for file in wanted.values()}
    for use in _uses(hypervisor, wanted):
        file = wanted.get(use.path) or _identity(hypervisor, use.path, found)
        if file in found:
            found[file].append(use)
    return {path: found[file] for path, file in wanted.items()}


def _identity(
    hypervisor: Hypervisor, path: str, wanted: Collection[files.Identity]
) -> files.Identity | None:
    """Return the identity of a file, None for an unseen one that is none of the wanted files."""
    try:
        return identity(hypervisor, path)
    except files.Unseen:
        # Whatever device that is, such as a CD-ROM drive, it is no file.
        if path.startswith("/dev/") and all(known[0] == "file" for known in wanted):
            return None
        raise


def identity(hypervisor: Hypervisor, path: str) -> files.Identity:
    """Return what all paths of one file or device have in common; raise Unseen.

    A service has no devices of its own, but libvirt knows those that are volumes.
    """
    try:
        return files.identity(path)
    except files.Unseen:
        if path.startswith("/dev/"):
            with suppress(NotFound):
                return hypervisor.volume_at(path).path
        raise


def _uses(hypervisor: Hypervisor, wanted: dict[str, files.Identity]) -> Iterator[Use]:
    """Yield what hosts use, then what stands on what no host has, in pools and next to it."""
    attached: set[files.Identity] = set()
    for host in hypervisor.domains():
        with suppress(NotFound):  # a host that went in the meantime
            for use in _of_host(hypervisor, host, wanted):
                with suppress(files.Unseen):
                    attached.add(files.identity(use.path))
                yield use
    for device, path in holders.loops():
        # What a service cannot see is none of its disks.
        with suppress(files.Unseen):
            files.identity(path)
            yield Use(path, None, device)
    seen = {str(Path(path).parent) for path in wanted if path.startswith("/")}
    for folder in sorted(seen):
        yield from _loose(folder, attached)
    for pool in hypervisor.pools():
        yield from _in_pool(pool, attached, seen)


def _of_host(
    hypervisor: Hypervisor, host: Domain, wanted: dict[str, files.Identity]
) -> Iterator[Use]:
    layers, others = _layers(hypervisor, host)
    # These are sockets and terminals of running hosts, as a rule, which a service may not see.
    for path in others:
        with suppress(files.Unseen):
            if path in wanted or files.identity(path) in wanted.values():
                yield Use(path, host)
    # A volume of a pool that is off, or not there, has a file of its own name, wherever.
    named = {layer.volume[1] for layer in layers if layer.volume}
    yield from (Use(path, host) for path in wanted if Path(path).name in named)
    certain = {layer.path for layer in layers if layer.complete}
    for layer in dict.fromkeys(replace(layer, complete=False) for layer in layers):
        if layer.path is None:
            continue
        yield Use(layer.path, host)
        for path in _below(host, layer, certain=layer.path in certain):
            yield Use(path, host, layer.path)


def _layers(hypervisor: Hypervisor, host: Domain) -> tuple[list[Layer], set[str]]:
    """Return what a host's disks are made of, running, stored and saved, and its other files."""
    if host.hung:
        # By libvirt 11 each reading of its XML would wait for half a minute.
        return [Layer(path, format=RAW) for path in host.open_disks()], set()
    texts = {host.xml(), host.xml(stored=True), host.saved_xml()}
    roots = [domain.parse(xml) for xml in texts if xml]
    layers = [layer for root in roots for layer in disks.layers(root)]
    for snapshot in map(domain.parse, host.snapshots()):
        layers += disks.snapshot_layers(snapshot)
    others = set().union(*map(disks.other_files, roots))
    return [_placed(hypervisor, layer) for layer in layers], others


def _placed(hypervisor: Hypervisor, layer: Layer) -> Layer:
    """Return a layer by its path where the XML has a volume, as it is where its pool is off."""
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
    """Return the files that a layer stands on; `certain` if libvirt names each of them itself."""
    if layer.path is None or layer.format == RAW or (certain and layer.protocol):
        return []
    unknown = f"it is not known what disk {layer.path} of host {host.name!r} stands on"
    if layer.protocol or not layer.path.startswith("/"):
        raise Conflict(f"{unknown}: it is an image that a network has; detach it there first")
    try:
        return [*images.below(layer.path, layer.format)]
    except files.Unseen:
        # A running host's file is its QEMU's, and a service may not read it.
        if certain:
            return []
        raise
    except images.Unresolved as error:
        raise Conflict(f"{unknown}: {error}; repair that image or detach it first") from error


def _in_pool(pool: Pool, attached: Collection[files.Identity], seen: set[str]) -> Iterator[Use]:
    root = domain.parse(pool.xml())
    folder = root.findtext("target/path", "")
    if root.get("type") == "logical" and pool.active:
        yield from _snapshots(pool)
    elif root.get("type") in _DIRECTORIES and folder not in seen:
        seen.add(folder)
        try:
            yield from _loose(folder, attached)
        except files.Unseen:
            _check_all_raw(pool)


def _loose(folder: str, attached: Collection[files.Identity]) -> Iterator[Use]:
    """Yield what images in a directory stand on, but for those that hosts have.

    A host's raw disk stands on nothing, whatever its guest wrote into it.
    """
    for path in map(str, files.children(folder)):
        facts = files.look(path)
        if facts is None or not stat.S_ISREG(facts.st_mode):
            continue
        if files.identity_of(facts) in attached or not images.may_stand(path):
            continue
        try:
            yield from (Use(lower, None, path) for lower in images.below(path, None))
        except images.Unresolved as error:
            raise Conflict(
                f"it is not known what {path} stands on: {error};"
                " repair that image or move it away first"
            ) from error


def _check_all_raw(pool: Pool) -> None:
    """Raise Unseen unless libvirt, which sees it all, finds nothing but raw volumes in a pool."""
    try:
        pool.refresh()
        volumes = [(volume.path, domain.parse(volume.xml())) for volume in pool.volumes()]
    except ShctlError as error:
        raise files.Unseen(f"{error}; run the command again in a root shell") from error
    for path, root in volumes:
        kind = root.find("target/format")
        if kind is not None and kind.get("type") not in (RAW, "iso"):
            raise files.unseen(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _snapshots(pool: Pool) -> Iterator[Use]:
    """Yield what logical volumes stand on: removing that would remove them."""
    for volume in pool.volumes():
        if lower := domain.parse(volume.xml()).findtext("backingStore/path"):
            yield Use(lower, None, volume.path)
