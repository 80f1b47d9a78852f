"""`shctl status`: the state of the hypervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import Command
from shctl.commands.session import Session

if TYPE_CHECKING:
    from shctl.common.status import Status


@click.command(cls=Command, examples=["shctl status", "shctl -o json status"])
@click.pass_obj
def status(session: Session) -> Status:
    """Show the hypervisor's memory, processors, pools, hosts, VLANs and versions.

    Memory is in MiB. "Used" is the maximum memory of all running hosts together, which they may
    take at any time. "Free" is the rest of the total: a new host that starts may have that much.
    "Available" is what the machine could give out now: the memory that libvirt reports as free, and
    the kernel's buffers and page cache. Hosts that do not use all of their memory leave more
    available than is free; other programs on the machine leave less.

    Processors are counted in the same way. Hosts share them, so more may be used than there are.

    Pools are in GiB; of a pool on a file system, these are the numbers of the file system, with
    everything else that is on it. VLANs are those of networks, and tags of other ports in
    Open vSwitch.

    A part that cannot be read is missing, and "problems" says why. Only if libvirt does not
    respond, the command fails. Attach the output to bug reports.
    """
    from shctl.hosts.status import collect

    return collect(session.hypervisor)
