"""`shctl hosts disks`: commands about the disks of a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shctl.commands.base import DRY_RUN, Command
from shctl.commands.confirmation import confirmed
from shctl.commands.host_creation import MAX_DISK
from shctl.commands.session import Session
from shctl.commands.types import DISK, HOST, POOL, Number
from shctl.common import defaults

if TYPE_CHECKING:
    from shctl.common.model import ChangedDisk, ChangePlan, Disk, RemovedDisk

NAME = click.argument("name", type=HOST)
TARGET = click.argument("disk", type=DISK)
_SIZE = Number(1, MAX_DISK, "GiB")


@click.command("list", cls=Command, examples=["shctl hosts disks list web1"])
@NAME
@click.pass_obj
def list_disks(session: Session, name: str) -> list[Disk]:
    """List the disks of a host, also those that it gets at its next start."""
    from shctl.hosts import disks

    return disks.disks_of(session.hypervisor, name)


@click.command("show", cls=Command, examples=["shctl hosts disks show web1 sdb"])
@NAME
@TARGET
@click.pass_obj
def show_disk(session: Session, name: str, disk: str) -> Disk:
    """Show a disk of a host."""
    from shctl.hosts import disks

    return disks.show(session.hypervisor, name, disk)


@click.command(
    "add",
    cls=Command,
    examples=["shctl hosts disks add web1 --size 20", "shctl hosts disks add web1 --size 1T"],
)
@NAME
@click.option("--size", required=True, type=_SIZE, metavar="GIB", help="Size of the disk, in GiB.")
@click.option(
    "--pool",
    default=defaults.POOL,
    show_default=True,
    type=POOL,
    help="Storage pool for the disk.",
)
@DRY_RUN
@click.pass_obj
def add_disk(
    session: Session, name: str, size: int, pool: str, dry_run: bool
) -> ChangedDisk | ChangePlan:
    """Add a disk to a host, also while it runs.

    The disk gets the first free name, such as sdb, and a serial number and WWN that follow from the
    host's name and this one, like those of the disks that the host was created with. A name is not
    free while the pool has a volume of that name, such as one that was kept.

    A running host gets the disk at once ("applied" is "now") if it has a virtio-scsi controller, as
    all hosts that shctl creates; otherwise at its next start. The pool must have room for the whole
    disk.
    """
    from shctl.hosts import disks

    return (disks.preview_adding if dry_run else disks.add)(session.hypervisor, name, size, pool)


@click.command("resize", cls=Command, examples=["shctl hosts disks resize web1 sda --size 40"])
@NAME
@TARGET
@click.option("--size", required=True, type=_SIZE, metavar="GIB", help="New size, in GiB.")
@DRY_RUN
@click.pass_obj
def resize_disk(
    session: Session, name: str, disk: str, size: int, dry_run: bool
) -> ChangedDisk | ChangePlan:
    """Enlarge a disk of a host, also while it runs.

    A disk can only grow. The guest of a running host notices the new size; its partitions and file
    systems stay as they are. Only disks that the host owns are resized, if they are volumes of a
    pool, raw or qcow2, and if no snapshot, image or other host depends on them.
    """
    from shctl.hosts import disks

    run = disks.preview_resizing if dry_run else disks.resize
    return run(session.hypervisor, name, disk, size)


def _what(name: str, disk: str, **_: object) -> str:
    return f"remove disk {disk} of host {name}"


def _ask(session: Session, name: str, disk: str, keep: bool, **_: object) -> str:
    from shctl.hosts import disks

    removal = disks.plan_removing(session.hypervisor, name, disk, keep=keep)
    if removal.deletes is None:
        kept = ", ".join(removal.result.kept) or "its image"
        return f"Remove disk {disk} from host {name}, and keep {kept}?"
    size = removal.deletes.size
    shown = "" if size is None else f" ({size:g} GiB)"
    return f"Remove disk {disk}{shown} of host {name} with all data on it for good?"


@click.command(
    "remove",
    cls=Command,
    examples=[
        "shctl hosts disks remove web1 sdb --yes",
        "shctl hosts disks remove web1 sdb --keep --yes",
    ],
)
@NAME
@TARGET
@click.option("--keep", is_flag=True, help="Keep the disk's volume, which then belongs to no host.")
@DRY_RUN
@click.pass_obj
@confirmed(_ask, what=_what)
def remove_disk(
    session: Session, name: str, disk: str, keep: bool, dry_run: bool
) -> RemovedDisk | ChangePlan:
    """Remove a disk from a host, with its data, also while the host runs.

    The disk's volume is deleted if the host owns it, under the same rules as when the host is
    deleted: only if no other host, snapshot, image or process uses it. A disk that the host does
    not own is only detached, and its path is in "kept".

    A running host must release the disk: QEMU removes SCSI disks at once, without asking the guest.
    If the guest keeps a disk of another kind, the command fails and nothing changes; stop the host
    first. The first disk of a running host, from which it has booted, is never removed.
    """
    from shctl.hosts import disks

    run = disks.preview_removal if dry_run else disks.remove
    return run(session.hypervisor, name, disk, keep=keep)
