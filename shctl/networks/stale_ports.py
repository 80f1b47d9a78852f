"""Remove stale ports at boot, before libvirtd starts: the main of shctl-ports.service.

A power cut leaves rows of ports in Open vSwitch. libvirt reuses such a row, with its old tag, for a
new port of the same name. shctl removes stale ports before each start, but libvirtd has started the
hosts with autostart by then. libvirtd does not run yet, so this reads its files and never imports
libvirt.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from shctl.common import paths
from shctl.networks import openvswitch, ports
from shctl.xml.files import read_uuid

_MAX_SIZE = 4 * 2**20  # bytes; a host's file has about 20,000


def main() -> None:
    """Remove the stale rows; raise Unreachable."""
    openvswitch.remove_stale_ports(ports.find_stale(openvswitch.ports(), inactive_hosts))


def inactive_hosts() -> set[str]:
    """Return the UUIDs of the hosts that libvirt has stored and that do not run.

    QEMU runs on without libvirtd, which finds it again by its file in /run. If such a file cannot
    be read, any host may run, so the result is empty.
    """
    try:
        running = {_uuid(file) for file in _files(paths.running_hosts())}
    except (OSError, ValueError):
        return set()
    return _readable(paths.stored_hosts()) - running


def _readable(directory: str) -> set[str]:
    found = set()
    with suppress(OSError):
        for file in _files(directory):
            with suppress(OSError, ValueError):
                found.add(_uuid(file))
    return found


def _files(directory: str) -> Iterator[Path]:
    """Yield the XML files in a directory, none if it does not exist; raise OSError."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".xml"):
                yield Path(entry.path)


def _uuid(file: Path) -> str:
    """Return the UUID in a host's file; raise OSError, ValueError."""
    # A symlink may lead elsewhere, and opening a FIFO would block.
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:  # noqa: PTH123, a descriptor
        text = stream.read(_MAX_SIZE + 1)
    if len(text) > _MAX_SIZE:
        raise ValueError(f"{file} is too long")
    try:
        uuid = read_uuid(text)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if not uuid:
        raise ValueError(f"{file} has no UUID")
    return uuid


if __name__ == "__main__":
    main()
