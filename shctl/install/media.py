"""Prepare what an installer boots: kernel and initrd of a tree, answers and command line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shctl.common import defaults
from shctl.common.errors import InvalidInput
from shctl.common.model import CheckedAnswers
from shctl.hypervisor.ownership import Owner
from shctl.install import answer_checks, boot_files, cmdline, trees
from shctl.install.cache import Cache
from shctl.install.delivery import deliver
from shctl.install.fetch import TreeClient
from shctl.install.initrd import append_files, check_initrd, check_names, render
from shctl.install.systems import System
from shctl.install.tree import Tree, arguments
from shctl.xml.domain import Installer

SERIAL = "console=ttyS0"
# Bytes. Linux on x86 silently truncates the command line to COMMAND_LINE_SIZE, 2048 with the NUL.
MAX_CMDLINE = 2047

MAX_MEMORY = 1 << 40  # MiB; more than any installer needs

# Called with a file's name, the bytes done, and the total if known.

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class InstallOptions:
    """How to install a host; without `location`, it boots from the network.

    `answers` are contents by the names of the user's files, which are delivered as the tree's
    installer reads them; `inject` maps names of files in the initrd to their contents. `values` are
    inserted into both. `timeout` is in seconds. With `local`, the location may be a directory of
    this machine, with `force_memory` the host may have less memory than the installer needs.
    """

    location: str | None = None
    cmdline: str = ""
    kernel: str | None = None
    initrd: str | None = None
    answers: Mapping[str, bytes] = field(default_factory=dict)
    inject: Mapping[str, bytes] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    timeout: float = defaults.INSTALL_TIMEOUT
    local: bool = False
    force_memory: bool = False


@dataclass(frozen=True)
class Media:
    """A tree's kernel and initrd in the cache, the command line, and answers by file name.

    `files` are for the initrd, `cd` for a CD labelled `label`, if there are any.
    """

    kernel: Path
    initrd: Path
    cmdline: str
    files: Mapping[str, bytes]
    cd: Mapping[str, bytes]
    label: str
    location: str


@dataclass(frozen=True)
class _Prepared:
    """A tree, and what its installer gets: the files with all values inserted."""

    tree: Tree
    files: Mapping[str, bytes]
    cd: Mapping[str, bytes]
    label: str
    cmdline: str


def check(options: InstallOptions) -> None:
    """Raise InvalidInput for options that contradict each other; nothing is downloaded yet."""
    if not options.cmdline.isprintable():
        raise InvalidInput("cmdline: must be one line of printable characters", field="cmdline")
    if options.location is None:
        for name in ("cmdline", "kernel", "initrd", "answers", "inject", "values"):
            if getattr(options, name):
                raise InvalidInput(f"{name}: only possible with a location", field=name)
    if options.values and not (options.answers or options.inject):
        raise InvalidInput("values: only possible with answers or injected files", field="values")
    check_names(options.inject)
    for name, content in options.answers.items():
        answer_checks.check(name, content)


def hints(options: InstallOptions) -> list[str]:
    """Return what is probably wrong with the answers, each with its file."""
    return [
        f"{name}: {problem}"
        for name, content in options.answers.items()
        for problem in answer_checks.hints(content)
    ]


def check_answers(location: str, options: InstallOptions, host: str) -> CheckedAnswers:
    """Return how the answers would be delivered for a tree; raise what a creation would raise."""
    check(options)
    values = {"HOSTNAME": host, "MAC": "", "DISK": "", **options.values}
    with TreeClient() as client:
        found = _prepare(client, location, options, values, MAX_MEMORY)
    return CheckedAnswers(
        location=found.tree.location,
        installer=found.tree.system.name,
        initrd=tuple(found.files),
        cd=tuple(found.cd),
        label=found.label or None,
        cmdline=found.cmdline,
        hints=tuple(hints(options)),
    )


@contextmanager
def borrow(
    options: InstallOptions, values: Mapping[str, str], memory: int, progress: Progress
) -> Iterator[Media | None]:
    """Yield the media of an installation, downloaded or cached; None for a network boot.

    The media stay in the cache for the duration of the block. `values` are inserted into the
    answers; `memory` is the host's, in MiB. Raise InvalidInput if there is no tree at the location
    or it does not fit the request, InstallFailed if its server does not work.
    """
    if options.location is None:
        yield None
        return
    with TreeClient() as client:
        found = _prepare(client, options.location, options, values, memory)
        tree = found.tree
        with (
            _borrowed(client, tree, tree.kernel, progress, kernel=True) as kernel,
            _borrowed(client, tree, tree.initrd, progress, kernel=False) as initrd,
        ):
            if found.files:
                check_initrd(initrd, tree.initrd)
            yield Media(
                kernel, initrd, found.cmdline, found.files, found.cd, found.label, tree.location
            )


def check_location(options: InstallOptions, values: Mapping[str, str], memory: int) -> str:
    """Return the tree's location; raise what borrow() raises before it downloads a kernel."""
    with TreeClient() as client:
        return _prepare(client, options.location or "", options, values, memory).tree.location


def _prepare(
    client: TreeClient,
    location: str,
    options: InstallOptions,
    values: Mapping[str, str],
    memory: int,
) -> _Prepared:
    tree = trees.probe(
        location, kernel=options.kernel, initrd=options.initrd, local=options.local, client=client
    )
    if not options.force_memory:
        _check_memory(tree.system, memory)
    known = {**values, "LOCATION": tree.base, **options.values}
    answers = {name: render(content, known, "answers") for name, content in options.answers.items()}
    delivered = deliver(tree.system, answers, values["HOSTNAME"])
    injected = {name: render(content, known) for name, content in options.inject.items()}
    if twice := delivered.initrd.keys() & injected.keys():
        raise InvalidInput(f"inject: {min(twice)} is given as answers too", field="inject")
    cmdline = _cmdline(tree, options.cmdline, delivered.arguments)
    return _Prepared(tree, {**delivered.initrd, **injected}, delivered.cd, delivered.label, cmdline)


def _check_memory(system: System, memory: int) -> None:
    if memory < system.memory:
        raise InvalidInput(
            f"memory: the tree's installer, {system.name}, needs at least {system.memory} MiB, but"
            f" the host has {memory} MiB; --force-memory tries it anyway",
            field="memory",
        )


@contextmanager
def _borrowed(
    client: TreeClient, tree: Tree, path: str, progress: Progress, *, kernel: bool
) -> Iterator[Path]:
    with Cache().borrow(
        client,
        tree.url(path),
        checksum=tree.checksums.get(path),
        kernel=kernel,
        initrd=not kernel,
        progress=lambda done, size: progress(Path(path).name, done, size),
    ) as cached:
        yield cached


def _cmdline(tree: Tree, given: str, more: tuple[str, ...]) -> str:
    """Return the command line with what the tree needs, and a serial console for the log."""
    line = arguments(tree, given, more)
    for_kernel, for_init = cmdline.split(line)
    if not any(word.startswith("console=") for word in for_kernel.split()):
        line = cmdline.join(for_kernel, SERIAL, for_init)
    if len(line.encode()) > MAX_CMDLINE:
        raise InvalidInput(
            f"cmdline: too long, {len(line.encode())} bytes with the tree's arguments:"
            f" must be at most {MAX_CMDLINE}",
            field="cmdline",
        )
    return line


def stage(media: Media | None, host: str, owner: Owner | None = None) -> Installer:
    """Copy the media to the host's own boot files, which stay when the cache is pruned.

    Only QEMU's user may read answers; `owner` is that user if libvirt does not change owners.
    """
    if media is None:
        return Installer()
    directory = boot_files.make_boot_directory(host)
    kernel, initrd = directory / "kernel", directory / "initrd"
    boot_files.place(media.kernel, kernel)
    if media.files:
        append_files(media.initrd, media.files, initrd)
        if owner:
            boot_files.give(initrd, owner)
    else:
        boot_files.place(media.initrd, initrd)
    return Installer(str(kernel), str(initrd), media.cmdline, _stage_cd(media, directory, owner))


def _stage_cd(media: Media, directory: Path, owner: Owner | None) -> str | None:
    """Write the CD with answers, if there are any for one; return its path."""
    if not media.cd:
        return None
    from shctl.install import cd

    path = directory / boot_files.CD
    cd.write(path, media.label, media.cd)
    if owner:
        boot_files.give(path, owner)
    return str(path)
