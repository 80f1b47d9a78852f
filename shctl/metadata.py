"""What shctl knows about a host: one element in the domain's own metadata, and no database."""

from dataclasses import dataclass

from lxml import etree

URI = "urn:shctl:host:1"
KEY = "shctl"


@dataclass(frozen=True)
class OwnedVolume:
    """A volume that goes when its host goes."""

    pool: str
    name: str


@dataclass(frozen=True)
class Metadata:
    """Our element; `created` in UTC as RFC 3339 writes it.

    `complete` is False from the moment a name is reserved until the whole host stands.
    `paths` are disks that an adopted host brought along and that were named as its own.
    """

    created: str
    complete: bool = True
    volumes: tuple[OwnedVolume, ...] = ()
    paths: tuple[str, ...] = ()


def _tag(name: str) -> str:
    return f"{{{URI}}}{name}"


def build(metadata: Metadata) -> etree._Element:
    """Return the element that stands for this metadata."""
    root = etree.Element(_tag("host"), nsmap={KEY: URI})
    root.set("created", metadata.created)
    if not metadata.complete:
        root.set("complete", "no")
    for volume in metadata.volumes:
        etree.SubElement(root, _tag("volume"), pool=volume.pool, name=volume.name)
    for path in metadata.paths:
        etree.SubElement(root, _tag("disk"), path=path)
    return root


def read(domain: etree._Element) -> Metadata | None:
    """Return our metadata from a domain's XML, or None where the host is not ours."""
    root = domain.find(f"metadata/{_tag('host')}")
    if root is None:
        return None
    return Metadata(
        created=root.get("created", ""),
        complete=root.get("complete") != "no",
        volumes=tuple(
            OwnedVolume(e.get("pool", ""), e.get("name", "")) for e in root.iterfind(_tag("volume"))
        ),
        paths=tuple(e.get("path", "") for e in root.iterfind(_tag("disk"))),
    )


def text(metadata: Metadata) -> str:
    """Return the element as libvirt's setMetadata takes it."""
    return etree.tostring(build(metadata), encoding="unicode")
