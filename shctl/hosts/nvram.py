"""Check the file of a host's UEFI variables, which libvirt removes with the domain."""

from contextlib import suppress

from shctl.common import files, paths
from shctl.common.errors import Conflict, NotFound
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definition, Definitions
from shctl.hypervisor.domain import Domain
from shctl.xml.boot import read_nvram
from shctl.xml.domain import DomainInfo


def default(host: str) -> str:
    """Return the path that libvirt chooses for a host whose XML has none."""
    return str(paths.nvram() / f"{host}_VARS.fd")


def foreign(definitions: Definitions, host: Domain, xml: str) -> str | None:
    """Return the path of a host's file if it is not the default one or another host uses it too."""
    path = read_nvram(xml)
    if path == default(host.name) and not users(definitions, path, host.uuid):
        return None
    return path


def left(definitions: Definitions, host: Domain, info: DomainInfo) -> str | None:
    """Return the path of the file that a host with BIOS has from when it had UEFI, None without.

    A file that another host uses is not its own any more.
    """
    if info.metadata is None or not info.metadata.variables_left or info.firmware == "uefi":
        return None
    path = default(host.name)
    return None if users(definitions, path, host.uuid) else path


def check_free(hypervisor: Hypervisor, host: str, *, own: bool = False) -> None:
    """Raise Conflict if the default file of a host exists or is used by another host.

    With `own` it may exist, since the host had UEFI before.
    """
    path = default(host)
    others = users(Definitions(hypervisor), path)
    if others:
        raise Conflict(
            f"{path} is used by {', '.join(others)}, and libvirt would also use it for host"
            f" {host!r}; choose another name"
        )
    with suppress(files.Unreadable):  # the service may not read libvirt's directory
        if not own and files.exists(path):
            raise Conflict(
                f"{path} exists, with the UEFI variables of a host that no longer exists; check"
                " that nothing needs it, then remove it"
            )


def users(definitions: Definitions, path: str, exclude: str | None = None) -> list[str]:
    """Return the names of the hosts that use a file; `exclude` is the UUID of one to leave out."""
    names = set()
    for definition in definitions.all():
        host = definition.host
        with suppress(NotFound):  # deleted meanwhile
            if host.uuid != exclude and any(_is_same(path, other) for other in _paths(definition)):
                names.add(host.name)
    return sorted(names)


def _paths(definition: Definition) -> set[str]:
    # Unlike the running XML, the stored one can be read while QEMU hangs.
    texts = [definition.host.xml(stored=True)] if definition.hung else definition.texts
    return {path for text in texts if (path := read_nvram(text))}


def _is_same(path: str, other: str) -> bool:
    with suppress(files.Unreadable):
        return files.identity(path) == files.identity(other)
    return path == other
