"""Plan the deletion of a host: what is removed, what is kept and why. No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from shctl.common.errors import Conflict, NoSpace, NotFound, Unreachable
from shctl.common.model import KeptFile
from shctl.common.steps import Step
from shctl.hosts import managed
from shctl.hosts.console_log import remove_log
from shctl.hosts.log_writers import is_shared
from shctl.hosts.owned_disks import Disks, OwnedDisk
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definitions
from shctl.hypervisor.domain import Domain
from shctl.install.boot_files import remove_boot_files
from shctl.networks import ports
from shctl.storage.usage import Use
from shctl.xml import domain, edits, metadata
from shctl.xml.metadata import Metadata


@dataclass(frozen=True)
class DeletionState:
    """A host and everything that its deletion depends on, as read at one moment.

    `uses` has the uses of each disk that the host owns or lists; `owned_tops` are the images in
    them that are owned disks too. `locked` are owned disks that some process has locked, `absent`
    paths where nothing is. `nvram` is the file of UEFI variables that libvirt removes with the
    host, `foreign_nvram` one that must be kept, `left_nvram` one from when the host had UEFI.
    """

    name: str
    uuid: str
    active: bool
    info: domain.DomainInfo
    disks: Disks
    uses: Mapping[str, Sequence[Use]]
    owned_tops: frozenset[str] = frozenset()
    locked: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    nvram: str | None = None
    foreign_nvram: str | None = None
    left_nvram: str | None = None
    logs: tuple[Path, ...] = ()
    has_boot_files: bool = False


@dataclass(frozen=True)
class Removal:
    """What the steps of a deletion act on."""

    hypervisor: Hypervisor
    host: Domain
    definitions: Definitions


@dataclass(frozen=True)
class Deletion:
    """The steps of a deletion: before its disks, one a disk, and after them; and what is kept."""

    name: str
    running: bool
    owned: tuple[OwnedDisk, ...]
    before: tuple[Step[Removal], ...]
    disks: tuple[Step[Removal], ...]
    after: tuple[Step[Removal], ...]
    kept: tuple[KeptFile, ...]

    @property
    def steps(self) -> tuple[Step[Removal], ...]:
        """Return all steps in their order."""
        return (*self.before, *self.disks, *self.after)

    @property
    def size(self) -> float:
        """Return the size of the disks to remove, in GiB, as far as libvirt knows it."""
        return sum(disk.size or 0 for disk in self.owned)


def plan_deletion(state: DeletionState) -> Deletion:
    """Return the plan of a host's deletion; raise Conflict if the host or a disk must be kept."""
    data = managed.check(state.name, state.info)
    _check_unused(state)
    _check_removable(state)
    owned = state.disks.owned
    return Deletion(
        state.name,
        state.active,
        owned,
        before=_steps_before(state, data),
        disks=tuple(_disk_step(disk) for disk in owned),
        after=tuple(_steps_after(state)),
        kept=tuple(_kept(state, data)),
    )


def _check_unused(state: DeletionState) -> None:
    """Raise Conflict if anything else uses the host's disks."""
    for path, uses in state.uses.items():
        for use in uses:
            if _is_own(state, use):
                _check_chain(state, path, use.by)
    for disk in state.disks.owned:
        others = [use for use in state.uses[disk.path] if not _is_own(state, use)]
        if others:
            raise _keep(
                state,
                f"its disk {disk.path} is also used by {', '.join(sorted(set(map(str, others))))};"
                f" {_remedy(others)}",
            )
        if disk.path in state.locked:
            raise _keep(
                state,
                f"its disk {disk.path} is in use by a process that libvirt does not know, such as"
                " qemu-nbd or a QEMU started by hand; stop that process first",
            )


def _is_own(state: DeletionState, use: Use) -> bool:
    # By UUID, since a host can be renamed.
    return use.host is not None and use.host.uuid == state.uuid


def _keep(state: DeletionState, reason: str) -> Conflict:
    return Conflict(f"host {state.name!r} is kept: {reason}")


def _remedy(uses: list[Use]) -> str:
    """Return how to free a disk; an image of no host cannot be detached."""
    images = [use.host is None and not use.is_device for use in uses]
    if all(images):
        return "remove that image first, if nobody needs it"
    if any(images):
        return "detach it there first, and remove the image that belongs to no host"
    return "detach it there first"


def _check_chain(state: DeletionState, path: str, top: str | None) -> None:
    """Raise Conflict if a disk `top` that would be kept depends on a disk listed as the host's own.

    The upper half of such a chain is useless without the lower one.
    """
    if top is None or top in state.owned_tops:
        return
    target = next((row.target for row in state.info.disks if row.path == top), None)
    if target is None:
        raise _keep(
            state,
            f"{top}, of a snapshot of it, depends on its disk {path}; check that nobody needs it,"
            " then remove it",
        )
    raise _keep(
        state,
        f"its disk {top} depends on its disk {path}, as after an external snapshot; merge them"
        f" ('virsh blockcommit {state.name} {target} --active --pivot' while it runs),"
        f" remove {top}, then delete the host",
    )


def _check_removable(state: DeletionState) -> None:
    """Raise Conflict for a file in a directory that this process cannot write to.

    The service sees most of the file system read-only.
    """
    for disk in state.disks.owned:
        if not disk.removable:
            folder = Path(disk.path).parent
            raise _keep(
                state,
                f"its disk {disk.path} cannot be removed, because this process cannot write to"
                f" {folder}; run 'shctl hosts delete {state.name}' in a root shell, and if that"
                f" fails too, check the directory's mount options and 'lsattr -d {folder}'",
            )


def _steps_before(state: DeletionState, data: Metadata) -> tuple[Step[Removal], ...]:
    target, host = f"host {state.name}", f"host {state.name!r}"
    # Also without QEMU: the host may have been started since the plan was made.
    off = f"Power off {host}." if state.active else f"Make sure that {host} is off."
    return (
        Step("stop", target, off, lambda removal: removal.host.destroy()),
        Step(
            "mark", target, f"Mark {host} as incomplete while it is deleted.", partial(_mark, data)
        ),
        Step(
            "remove",
            f"ports of {target}",
            f"Remove the remaining ports of {host} from Open vSwitch.",
            partial(_remove_ports, state.active),
        ),
    )


def _mark(data: Metadata, removal: Removal) -> None:
    """Mark the host as incomplete, so that `doctor` can finish an interrupted deletion."""
    # A transient domain ended with its QEMU. A full disk must not prevent freeing space.
    with suppress(NotFound, NoSpace):
        element = metadata.text(replace(data, complete=False))
        removal.host.set_metadata(element, metadata.URI, metadata.KEY)


def _remove_ports(was_active: bool, removal: Removal) -> None:
    """Remove stale ports; a host that was off can be deleted without Open vSwitch."""
    ports.note_deleted(removal.host.uuid)
    try:
        ports.remove_stale(removal.hypervisor)
    except Unreachable:
        if was_active:
            raise


def _disk_step(disk: OwnedDisk) -> Step[Removal]:
    size = "" if disk.size is None else f", {disk.size:g} GiB"
    return Step(
        "remove", f"disk {disk.path}", f"Remove {disk.what}{size}.", lambda _: disk.remove()
    )


def _steps_after(state: DeletionState) -> Iterator[Step[Removal]]:
    """Yield the steps after the disks; the domain is last, so that a deletion can be repeated."""
    target, host = f"host {state.name}", f"host {state.name!r}"
    for log in state.logs:
        text = f"Remove the console log {log} and its rotated parts."
        yield Step("remove", f"log {log}", text, partial(_remove_log, log))
    if state.has_boot_files:
        text = f"Remove the kernel and initrd that {host} was installed with."
        yield Step(
            "remove", f"boot files of {target}", text, lambda _: remove_boot_files(state.name)
        )
    if path := state.left_nvram:
        # libvirt removes only files that the definition has, and only libvirt may remove this one.
        text = f"Have libvirt use the UEFI variables {path} again, to remove them."
        yield Step("define", f"variables of {target}", text, partial(_use_variables, path))
    variables = state.nvram or state.left_nvram
    more = f", and remove its UEFI variables ({variables})" if variables else ""
    yield Step(
        "undefine",
        target,
        f"Undefine {host}, with its managed save and snapshot metadata{more}.",
        lambda removal: removal.host.undefine(nvram=state.foreign_nvram is None),
    )


def _use_variables(path: str, removal: Removal) -> None:
    change = partial(edits.set_variables, path=path)
    removal.hypervisor.redefine(edits.edited(removal.host.definition(), [change]))


def _remove_log(log: Path, removal: Removal) -> None:
    # Again: powering off a hung host takes long, and a copy of it may have been defined meanwhile.
    if not is_shared(log, removal.host.uuid, removal.definitions):
        remove_log(log)


def _kept(state: DeletionState, data: Metadata) -> Iterator[KeptFile]:
    """Yield the files of the host that are not its own, each once."""
    reasons: dict[str, str] = {}
    for row in state.info.disks:
        if not row.removable:
            reason = "read-only or shareable in the host's XML"
        elif row.path in data.paths:
            reason = "neither a plain file nor a volume of a libvirt pool"
        else:
            reason = "not one of the disks that shctl created or adopted with the host"
        reasons.setdefault(row.path or "", reason)
    for path in state.disks.volumes:
        reasons.setdefault(path, "no longer in the host's XML")
    if state.foreign_nvram:
        reason = "UEFI variables that another host uses or that are not in libvirt's directory"
        reasons.setdefault(state.foreign_nvram, reason)
    gone = {disk.path for disk in state.disks.owned} | state.absent
    for path, reason in reasons.items():
        if path and path not in gone:
            yield KeptFile(path, reason)
