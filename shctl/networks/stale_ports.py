"""Remove ports that outlived their hosts; the package runs this before libvirtd starts.

A power cut leaves the rows of ports in Open vSwitch. libvirt takes such a row for a new port of the
same name, old tag and all. shctl sweeps before each start of its own, but by then libvirtd has
started the hosts that start by themselves. Since libvirt cannot be asked yet, its files are read.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lxml import etree

from shctl.networks import openvswitch, ports

# In libvirt's source: virDomainConfigFile and virDomainObjSave in src/conf/domain_conf.c.
STORED, RUNNING = Path("/etc/libvirt/qemu"), Path("/run/libvirt/qemu")
_LONGEST = 4 * 2**20  # bytes; a host's file has some 20,000


def main() -> None:
    """Remove the rows; raise Unreachable."""
    openvswitch.sweep(ports.outlived(openvswitch.ports(), dead_hosts))


def dead_hosts() -> set[str]:
    """Return the UUIDs of the hosts that libvirt has stored and that do not run.

    A host may run without libvirtd, which finds it again by its file. Where such a file cannot be
    read nothing is certain.
    """
    try:
        running = {_uuid(file) for file in _files(RUNNING)}
    except (OSError, ValueError):
        return set()
    return _readable(STORED) - running


def _readable(directory: Path) -> set[str]:
    found = set()
    with suppress(OSError):
        for file in _files(directory):
            with suppress(OSError, ValueError):
                found.add(_uuid(file))
    return found


def _files(directory: Path) -> Iterator[Path]:
    """Return the XML files in a directory, none for one that is not there; raise OSError."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".xml"):
                yield Path(entry.path)


def _uuid(file: Path) -> str:
    """Return the UUID of the host that a file describes; raise OSError, ValueError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:  # noqa: PTH123, by its descriptor
        text = stream.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise ValueError(f"{file} is too long")
    try:
        root = etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise ValueError(f"{file} is no XML") from error
    element = root if root.tag == "domain" else root.find("domain")
    uuid = None if element is None else element.findtext("uuid")
    if not uuid:
        raise ValueError(f"{file} has no UUID")
    return uuid


if __name__ == "__main__":
    main()
