"""Build and read XML of pools and volumes, see https://libvirt.org/formatstorage.html; no I/O."""

from dataclasses import dataclass

from lxml import etree

from shctl.xml.disk_device import Ceph
from shctl.xml.parsing import parse


@dataclass(frozen=True)
class PoolInfo:
    """What shctl reads from a pool's XML; `path` is where its volumes are, "" if nowhere.

    `ceph` is the cluster of a pool of RADOS block devices.
    """

    type: str | None
    path: str
    ceph: Ceph | None


@dataclass(frozen=True)
class VolumeInfo:
    """What shctl reads from a volume's XML; None for what it does not say."""

    format: str | None
    backing: str | None


def build_pool(name: str, path: str) -> str:
    """Return the XML of a pool of files in a directory."""
    root = etree.Element("pool", type="dir")
    etree.SubElement(root, "name").text = name
    target = etree.SubElement(root, "target")
    etree.SubElement(target, "path").text = path
    permissions = etree.SubElement(target, "permissions")
    # QEMU's user passes through the directory; only root lists it.
    etree.SubElement(permissions, "mode").text = "0711"
    return etree.tostring(root, encoding="unicode")


def read_pool(xml: str) -> PoolInfo:
    """Return what shctl needs from a pool's XML."""
    root = parse(xml)
    kind = root.get("type")
    return PoolInfo(kind, root.findtext("target/path", ""), _ceph(root) if kind == "rbd" else None)


def _ceph(root: etree._Element) -> Ceph:
    auth = root.find("source/auth")
    secret = root.find("source/auth/secret")
    return Ceph(
        tuple((e.get("name", ""), e.get("port")) for e in root.iterfind("source/host")),
        user=auth.get("username") if auth is not None else None,
        secret=secret.get("uuid") if secret is not None else None,
        usage=secret.get("usage") if secret is not None else None,
    )


def build_volume(name: str, size: int, *, sparse: bool, owner: tuple[int, int] | None) -> str:
    """Return the XML of a raw volume of `size` GiB; `owner` has the numbers of user and group."""
    root = etree.Element("volume")
    etree.SubElement(root, "name").text = name
    etree.SubElement(root, "capacity", unit="GiB").text = str(size)
    # Without an allocation libvirt allocates the whole capacity.
    if sparse:
        etree.SubElement(root, "allocation").text = "0"
    target = etree.SubElement(root, "target")
    etree.SubElement(target, "format", type="raw")
    permissions = etree.SubElement(target, "permissions")
    # libvirt changes the owner when it starts QEMU, unless dynamic_ownership is 0.
    etree.SubElement(permissions, "mode").text = "0600"
    if owner:
        etree.SubElement(permissions, "owner").text = str(owner[0])
        etree.SubElement(permissions, "group").text = str(owner[1])
    return etree.tostring(root, encoding="unicode")


def read_volume(xml: str) -> VolumeInfo:
    """Return what shctl needs from a volume's XML."""
    root = parse(xml)
    kind = root.find("target/format")
    return VolumeInfo(
        kind.get("type") if kind is not None else None, root.findtext("backingStore/path") or None
    )
