"""Determine which hosts may write to a log: any host's XML can name any file."""

from contextlib import suppress
from pathlib import Path

from shctl.common import names, paths
from shctl.common.errors import InvalidInput, NotFound
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definition, Definitions
from shctl.hypervisor.domain import Domain
from shctl.xml import disks, domain

_MAX_XML = 4 * 2**20  # bytes; usually about 20,000


def files_written(hypervisor: Hypervisor) -> set[str]:
    """Return the names, without directories, of all files that hosts may write to."""
    names_written: set[str] = set()
    for host in hypervisor.domains():
        with suppress(NotFound):  # deleted since it was listed
            for xml in _definitions(host):
                names_written |= _file_names(xml)
    return names_written


def _file_names(xml: str) -> set[str]:
    return {Path(path).name for path in disks.read_files(xml).others}


def _definitions(host: Domain) -> set[str]:
    """Return a host's stored XML and its running XML."""
    return {host.xml(stored=True), host.xml()}


def is_shared(path: Path, host: str, definitions: Definitions) -> bool:
    """Return whether a host other than `host`, a UUID, may write to a log, as a copy of it does."""
    others = (found for found in definitions.all() if found.host.uuid != host)
    return any(may_log_to(path, other) for other in others)


def may_log_to(path: Path, definition: Definition) -> bool:
    """Return whether a host may write to a log; True may also mean "unknown"."""
    if definition.hung:
        return _may_log_while_hung(definition.host.name, path.name)
    return any(_mentions(xml, path.name) for xml in definition.texts)


def _may_log_while_hung(host: str, file: str) -> bool:
    """Return whether libvirt's own files of a hung host may contain the name of a log.

    libvirt would wait for QEMU before it returns the XML. It keeps one file of a stored host and
    one of a running host (virDomainObjSave in src/conf/domain_conf.c).
    """
    try:
        name = f"{names.file_name(host)}.xml"
        contents = [_read_xml(Path(paths.running_hosts(), name))]
        with suppress(FileNotFoundError):  # a transient host is not stored
            contents.append(_read_xml(Path(paths.stored_hosts(), name)))
    except (OSError, InvalidInput):
        return True
    return any(len(content) > _MAX_XML or file.encode() in content for content in contents)


def _read_xml(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_MAX_XML + 1)


def _mentions(xml: str, file: str) -> bool:
    # A cheap text search first: parsing costs more, and most hosts do not mention the file.
    return domain.mentions(xml, file) and file in _file_names(xml)
