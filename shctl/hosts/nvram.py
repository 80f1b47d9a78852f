"""The file with a host's UEFI variables: the XML chooses it, and libvirt would remove it."""

from contextlib import suppress
from pathlib import Path

from shctl.common import files
from shctl.common.errors import Conflict, NotFound
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.handles import Domain
from shctl.xml import domain

# In libvirt's source: qemuDomainNVRAMPathFormat in src/qemu/qemu_domain.c.
_DIRECTORY = Path("/var/lib/libvirt/qemu/nvram")


def default(host: str) -> str:
    """Return the path that libvirt gives a host that has none in its XML."""
    return str(_DIRECTORY / f"{host}_VARS.fd")


def path_of(xml: str) -> str | None:
    """Return the path of a domain's file, None where it has none."""
    element = domain.parse(xml).find("os/nvram") if "<nvram" in xml else None
    if element is None:
        return None
    source = element.find("source")
    given = [] if source is None else [source.get("file"), source.get("dev")]
    return next(filter(None, [*given, (element.text or "").strip()]), None)


def foreign(hypervisor: Hypervisor, host: Domain, xml: str) -> str | None:
    """Return the path of a host's file unless it has libvirt's name for it and is its alone."""
    path = path_of(xml)
    if path == default(host.name) and not users(hypervisor, path, host.uuid):
        return None
    return path


def check_free(hypervisor: Hypervisor, host: str) -> None:
    """Raise Conflict when the file of a host to be made is there, or another host's, already."""
    path = default(host)
    others = users(hypervisor, path)
    if others:
        raise Conflict(
            f"{path} is used by {', '.join(others)}, and libvirt would give it to host {host!r}"
            " too; choose another name"
        )
    with suppress(files.Unseen):  # libvirt's own directory, which a service may not enter
        if files.is_there(path):
            raise Conflict(
                f"{path} is there already, with UEFI variables of a host that has gone; look at"
                " it, and remove it"
            )


def users(hypervisor: Hypervisor, path: str, but: str | None = None) -> list[str]:
    """Return the names of the hosts, `but` for one by its UUID, that have a file."""
    found = set()
    for host in hypervisor.domains():
        with suppress(NotFound):  # a host that went in the meantime
            if host.uuid != but and any(_is_same(path, other) for other in _paths(host)):
                found.add(host.name)
    return sorted(found)


def _paths(host: Domain) -> set[str]:
    texts = {host.xml(stored=True)} if host.hung else {host.xml(), host.xml(stored=True)}
    return {path for text in texts if (path := path_of(text))}


def _is_same(path: str, other: str) -> bool:
    with suppress(files.Unseen):
        return files.identity(path) == files.identity(other)
    return path == other
