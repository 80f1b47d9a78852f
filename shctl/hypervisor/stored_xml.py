"""Read the XML of many domains at once: from libvirt's files where that is possible.

Asking libvirtd for the XML of 1,000 domains takes 0.2 s, reading its files a tenth of it.
"""

import os
from collections.abc import Collection, Mapping

from shctl.common import paths
from shctl.common.errors import NotFound
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.xml.summary import read_uuid

LOCAL = "qemu:///system"
_USUAL, _MAX_SIZE = 2**16, 4 * 2**20  # bytes; a host's file has about 5,000


def read(
    hypervisor: Hypervisor, names: Mapping[str, str], active: Collection[str]
) -> dict[str, str]:
    """Return the XML of domains by UUID; those that were deleted meanwhile are left out.

    `names` are their names by UUID, `active` the UUIDs of those with a QEMU, whose XML is the one
    that they run with.
    """
    found: dict[str, str] = {}
    # Only root may read the files, and another machine has its own.
    if hypervisor.uri == LOCAL and os.geteuid() == 0:
        running = {uuid: names[uuid] for uuid in active if uuid in names}
        stored = {uuid: name for uuid, name in names.items() if uuid not in running}
        found |= _files(paths.running_hosts(), running)
        found |= _files(paths.stored_hosts(), stored)
    for uuid in names.keys() - found.keys():
        if host := hypervisor.find_domain(names[uuid]):
            found |= _ask(host)
    return found


def _ask(host: Domain) -> dict[str, str]:
    try:
        return {host.uuid: host.xml()}
    except NotFound:
        return {}


def _files(directory: str, names: Mapping[str, str]) -> dict[str, str]:
    """Return the XML in a directory of libvirt's by UUID."""
    found = {}
    for uuid, name in names.items():
        text = _file(f"{directory}/{name}.xml") if "/" not in name else ""
        # A file that is half written, or of another domain by now, is not used.
        if text.rstrip().endswith(("</domain>", "</domstatus>")) and read_uuid(text) == uuid:
            found[uuid] = text
    return found


def _file(path: str) -> str:
    """Return a file's text; "" if it cannot be read or is no plain file of a usual size."""
    try:
        # A symbolic link may lead elsewhere, and opening a FIFO would block.
        # libvirt writes names in UTF-8 in every locale.
        name = path.encode("utf-8", "surrogateescape")
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        # Python allocates as much as it is to read.
        content = os.read(descriptor, _USUAL)
        if len(content) == _USUAL:
            content += os.read(descriptor, _MAX_SIZE)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return content.decode("utf-8", "replace")
