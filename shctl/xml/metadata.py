"""shctl's metadata about a host: one element in the domain's XML, instead of a database."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from lxml import etree

from shctl.common import names
from shctl.common.clock import boot_id, now, uptime
from shctl.common.states import Phase

URI = "urn:shctl:host:1"
KEY = "shctl"
_HOST = f"{{{URI}}}host"
_LEFT = ("variables", "left")

DEADLINE = "deadline"
_PHASES = frozenset(Phase)

# Anyone who can define domains can write anything here, so everything that is read has a limit.
_MOST = 1000  # volumes, or paths; a host has fewer disks
_LONGEST = 4096  # characters, Linux' own limit for a path
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True)
class OwnedVolume:
    """A volume that goes when its host goes.

    `pending` says that it is being added or removed, so that the domain's XML may lack it.
    """

    pool: str
    name: str
    pending: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Installation:
    """State of an installation; times in UTC, in the format of RFC 3339.

    `boot` identifies the boot of the machine during which it began, and `until` is the uptime in
    seconds of its deadline, since the clock may be changed. `cause` is DEADLINE from the deadline
    until the installer has ended or was asked to. `unchecked` says why it is not certain that the
    installer wrote to a disk.
    """

    phase: Phase
    started: str
    deadline: str
    location: str | None = None
    ended: str | None = None
    reason: str | None = None
    boot: str | None = None
    until: int | None = None
    cause: str | None = None
    unchecked: str | None = None

    @property
    def open(self) -> bool:
        """Return whether the installation has not ended."""
        return self.phase in (Phase.INSTALLING, Phase.FINISHING)

    @property
    def late(self) -> bool:
        """Return whether only its deadline made it fail, so that its installer may still finish."""
        return self.phase == Phase.FAILED and self.cause == DEADLINE

    @property
    def pending(self) -> bool:
        """Return whether the state of the installation may still change."""
        return self.open or self.late

    @property
    def overdue(self) -> bool:
        """Return whether the deadline is past."""
        if self.boot and self.until is not None and self.boot == boot_id():
            return uptime() > self.until
        return now() > self.deadline

    @property
    def seconds_left(self) -> float | None:
        """Return the seconds until the deadline; None if it was set before this boot."""
        if self.until is None or not self.boot or self.boot != boot_id():
            return None
        return self.until - uptime()

    def move(
        self, phase: Phase, reason: str | None = None, cause: str | None = None
    ) -> "Installation":
        """Return the installation in its next phase."""
        ended = now() if phase in (Phase.INSTALLED, Phase.FAILED) else None
        return replace(self, phase=phase, reason=reason, ended=ended, cause=cause)


@dataclass(frozen=True)
class Metadata:
    """shctl's element; `created` in UTC as RFC 3339 writes it.

    `complete` is False while the host is being created or deleted.
    `paths` are disks of an adopted host that the user declared its own.
    `uuid` is that of the domain that this was written for; older versions of shctl wrote none.
    `variables_left` says that the host had UEFI, whose file of variables is still there.
    """

    created: str
    complete: bool = True
    volumes: tuple[OwnedVolume, ...] = ()
    paths: tuple[str, ...] = ()
    install: Installation | None = None
    uuid: str | None = None
    variables_left: bool = False


def build(metadata: Metadata) -> etree._Element:
    """Return the metadata as an element with its namespace."""
    root = etree.Element(_HOST, nsmap={KEY: URI})
    _fill(root, metadata)
    return root


def text(metadata: Metadata) -> str:
    """Return the element as libvirt's setMetadata takes it, which adds the namespace itself."""
    root = etree.Element("host")
    _fill(root, metadata)
    return etree.tostring(root, encoding="unicode")


def _fill(root: etree._Element, metadata: Metadata) -> None:
    if metadata.uuid:
        root.set("uuid", metadata.uuid)
    root.set("created", metadata.created)
    if not metadata.complete:
        root.set("complete", "no")
    if metadata.variables_left:
        root.set(*_LEFT)
    for volume in metadata.volumes:
        pending = {"pending": "yes"} if volume.pending else {}
        etree.SubElement(root, "volume", {"pool": volume.pool, "name": volume.name, **pending})
    for path in metadata.paths:
        etree.SubElement(root, "disk", path=path)
    if metadata.install:
        known = vars(metadata.install).items()
        given = {key: str(value) for key, value in known if value is not None}
        etree.SubElement(root, "install", given)


def mark_variables(domain: etree._Element, *, left: bool) -> None:
    """Record in a domain's XML whether a file of UEFI variables is left that it does not use."""
    root = domain.find(f"metadata/{_HOST}")
    if root is not None and left:
        root.set(*_LEFT)
    elif root is not None:
        root.attrib.pop(_LEFT[0], "")


def is_copy(domain: etree._Element) -> bool:
    """Return whether a domain's XML has metadata that was written for another domain.

    virt-clone copies it, as does anyone who defines a domain from the XML of another one.
    """
    root = domain.find(f"metadata/{_HOST}")
    return root is not None and root.get("uuid", uuid := domain.findtext("uuid")) != uuid


def read(domain: etree._Element) -> Metadata | None:
    """Return shctl's metadata from a domain's XML, None if shctl does not manage the domain.

    Not trusted: what it lists need not belong to the host, and values that shctl never writes are
    left out. libvirt's setMetadata puts the inner elements into shctl's namespace, its define
    does not change them.
    """
    root = domain.find(f"metadata/{_HOST}")
    if root is None or is_copy(domain):
        return None
    install = root.find("{*}install")
    # A host with boot files has a name that can be a file name.
    if not names.is_file_name(domain.findtext("name", "")):
        install = None
    disks = root.iterfind("{*}disk")
    volumes = (
        (e.get("pool", ""), e.get("name", ""), e.get("pending") or "no")
        for e in root.iterfind("{*}volume")
    )
    return Metadata(
        created=_time(root, "created") or "",
        complete=root.get("complete") != "no",
        volumes=tuple(
            OwnedVolume(pool, name, word == "yes") for pool, name, word in _sane(volumes)
        ),
        paths=tuple(path for (path,) in _sane((e.get("path", ""),) for e in disks)),
        install=_read_install(install) if install is not None else None,
        uuid=root.get("uuid"),
        variables_left=root.get(_LEFT[0]) == _LEFT[1],
    )


def _sane(rows: Iterable[tuple[str, ...]]) -> Iterable[tuple[str, ...]]:
    """Return the rows without duplicates and without values that are empty or too long."""
    sane = (row for row in rows if all(0 < len(value) <= _LONGEST for value in row))
    return dict.fromkeys(islice(sane, _MOST))


def _time(element: etree._Element, key: str) -> str | None:
    value = element.get(key, "")
    return value if _TIME.fullmatch(value) else None


def _text(element: etree._Element, key: str) -> str | None:
    value = element.get(key)
    return value if value is None else value[:_LONGEST]


def _read_install(element: etree._Element) -> Installation:
    phase = element.get("phase")
    return Installation(
        phase=Phase(phase) if phase in _PHASES else Phase.FAILED,
        started=_time(element, "started") or "",
        deadline=_time(element, "deadline") or "",
        location=_text(element, "location"),
        ended=_time(element, "ended"),
        reason=_text(element, "reason"),
        boot=_text(element, "boot"),
        until=_seconds(element.get("until", "")),
        cause=_text(element, "cause"),
        unchecked=_text(element, "unchecked"),
    )


def _seconds(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,12}", text) else None
