"""Wrappers around libvirt's pools and volumes."""

from contextlib import suppress
from typing import Any, NamedTuple

from shctl.common.errors import Conflict, NotFound
from shctl.hypervisor.binding import api, receive, translated


class Space(NamedTuple):
    """The sizes of a pool in bytes: all of it, what is taken, and what is left."""

    capacity: int
    allocation: int
    available: int


class Pool:
    """A storage pool in libvirt."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name: str = handle.name()

    def _doing(self, verb: str) -> Any:
        return translated(f"cannot {verb} pool {self.name!r}")

    @property
    def active(self) -> bool:
        """Return whether the pool's volumes can be used now."""
        with self._doing("read"):
            return bool(self._handle.isActive())

    def xml(self) -> str:
        """Return the pool's XML."""
        with self._doing("read"):
            return str(self._handle.XMLDesc())

    def space(self) -> Space | None:
        """Return the pool's sizes at its last refresh, None if it is inactive."""
        with self._doing("read"):
            state, *sizes = self._handle.info()
        active = (api.VIR_STORAGE_POOL_RUNNING, api.VIR_STORAGE_POOL_DEGRADED)
        return Space(*sizes) if state in active else None

    def start(self) -> None:
        """Build the pool's target and make it active, now and when libvirtd starts."""
        with self._doing("start"):
            self._handle.build()
            self._handle.setAutostart(1)
        with suppress(Conflict), self._doing("start"):
            self._handle.create()

    def refresh(self) -> None:
        """Have libvirt read the list of volumes again, as root; raise ShctlError if that fails."""
        with self._doing("refresh"):
            self._handle.refresh()

    def create_volume(self, name: str, xml: str) -> "Volume":
        """Create a volume; raise Conflict if it exists, NoSpace if the pool is full."""
        with translated(f"cannot create volume {name!r} in pool {self.name!r}"):
            return Volume(self._handle.createXML(xml))

    def volume(self, name: str) -> "Volume":
        """Look up a volume by name; raise NotFound."""
        with translated(f"cannot look up volume {name!r} in pool {self.name!r}"):
            return Volume(self._handle.storageVolLookupByName(name))

    def volumes(self) -> list["Volume"]:
        """Return the pool's volumes."""
        with self._doing("list"):
            return [Volume(handle) for handle in self._handle.listAllVolumes()]

    def volume_names(self) -> list[str]:
        """Return the names of the pool's volumes."""
        return [volume.name for volume in self.volumes()]

    def has_volume(self, name: str) -> bool:
        """Return whether the pool has a volume of this name."""
        with suppress(NotFound):
            self.volume(name)
            return True
        return False


class Volume:
    """A volume of a storage pool."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name: str = handle.name()

    @property
    def path(self) -> str:
        """Return the path of the file or device."""
        with translated(f"cannot read volume {self.name!r}"):
            return str(self._handle.path())

    @property
    def pool(self) -> str:
        """Return the name of the volume's pool."""
        with translated(f"cannot read volume {self.name!r}"):
            return str(self._handle.storagePoolLookupByVolume().name())

    def xml(self) -> str:
        """Return the volume's XML."""
        with translated(f"cannot read volume {self.name!r}"):
            return str(self._handle.XMLDesc())

    @property
    def is_block(self) -> bool:
        """Return whether the volume is a block device, not a file."""
        with translated(f"cannot read volume {self.name!r}"):
            return bool(self._handle.info()[0] == api.VIR_STORAGE_VOL_BLOCK)

    @property
    def capacity(self) -> float:
        """Return the size that a guest sees, in GiB."""
        with translated(f"cannot read volume {self.name!r}"):
            return int(self._handle.info()[1]) / 2**30

    def resize(self, size: int) -> None:
        """Enlarge the volume to `size` bytes; libvirt refuses to make it smaller."""
        with translated(f"cannot resize volume {self.name!r}"):
            self._handle.resize(size)

    def read(self, length: int) -> bytes:
        """Return at most the first `length` bytes of the volume, which libvirt reads."""
        with translated(f"cannot read volume {self.name!r}"):
            size = min(length, int(self._handle.info()[1]))
            return receive(
                self._handle.connect(), lambda stream: self._handle.download(stream, 0, size)
            )

    def delete(self) -> None:
        """Delete the volume with its data, unless it is gone."""
        with suppress(NotFound), translated(f"cannot delete volume {self.name!r}"):
            self._handle.delete()
