"""What shctl knows about a host: one element in the domain's own metadata, and no database."""

from dataclasses import dataclass, replace

from lxml import etree

from shctl.clock import now

URI = "urn:shctl:host:1"
KEY = "shctl"
_HOST = f"{{{URI}}}host"

INSTALLING, FINISHING, INSTALLED, FAILED = "installing", "finishing", "installed", "failed"


@dataclass(frozen=True)
class OwnedVolume:
    """A volume that goes when its host goes."""

    pool: str
    name: str


@dataclass(frozen=True)
class Installation:
    """How far an installation has come; times in UTC as RFC 3339 writes them.

    `phase` is installing; finishing, once the installer has stopped cleanly and until the host
    has been started from its disk; installed; or failed, with a reason.
    """

    phase: str
    started: str
    deadline: str
    location: str | None = None
    ended: str | None = None
    reason: str | None = None

    @property
    def open(self) -> bool:
        """Tell whether the installation has not come to its end."""
        return self.phase in (INSTALLING, FINISHING)

    @property
    def overdue(self) -> bool:
        """Tell whether the deadline is past."""
        return now() > self.deadline

    def move(self, phase: str, reason: str | None = None) -> "Installation":
        """Return the installation in its next phase."""
        ended = now() if phase in (INSTALLED, FAILED) else None
        return replace(self, phase=phase, reason=reason, ended=ended)


@dataclass(frozen=True)
class Metadata:
    """Our element; `created` in UTC as RFC 3339 writes it.

    `complete` is False from the moment a name is reserved until the host stands, or runs, and
    again from the moment its deletion begins.
    `paths` are disks that an adopted host brought along and that were named as its own.
    """

    created: str
    complete: bool = True
    volumes: tuple[OwnedVolume, ...] = ()
    paths: tuple[str, ...] = ()
    install: Installation | None = None


def build(metadata: Metadata) -> etree._Element:
    """Return the element that stands for this metadata, with its namespace."""
    root = etree.Element(_HOST, nsmap={KEY: URI})
    _fill(root, metadata)
    return root


def text(metadata: Metadata) -> str:
    """Return the element as libvirt's setMetadata takes it, which adds the namespace itself."""
    root = etree.Element("host")
    _fill(root, metadata)
    return etree.tostring(root, encoding="unicode")


def _fill(root: etree._Element, metadata: Metadata) -> None:
    root.set("created", metadata.created)
    if not metadata.complete:
        root.set("complete", "no")
    for volume in metadata.volumes:
        etree.SubElement(root, "volume", pool=volume.pool, name=volume.name)
    for path in metadata.paths:
        etree.SubElement(root, "disk", path=path)
    if metadata.install:
        told = {key: value for key, value in vars(metadata.install).items() if value is not None}
        etree.SubElement(root, "install", told)


def read(domain: etree._Element) -> Metadata | None:
    """Return our metadata from a domain's XML, or None where the host is not ours.

    libvirt's setMetadata puts the inner elements into our namespace, its define leaves them as is.
    """
    root = domain.find(f"metadata/{_HOST}")
    if root is None:
        return None
    install = root.find("{*}install")
    return Metadata(
        created=root.get("created", ""),
        complete=root.get("complete") != "no",
        volumes=tuple(
            OwnedVolume(e.get("pool", ""), e.get("name", "")) for e in root.iterfind("{*}volume")
        ),
        paths=tuple(e.get("path", "") for e in root.iterfind("{*}disk")),
        install=_read_install(install) if install is not None else None,
    )


def _read_install(element: etree._Element) -> Installation:
    return Installation(
        phase=element.get("phase", FAILED),
        started=element.get("started", ""),
        deadline=element.get("deadline", ""),
        location=element.get("location"),
        ended=element.get("ended"),
        reason=element.get("reason"),
    )
