"""Prepare what an installer boots: kernel and initrd of a tree, answers and command line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shctl.common import defaults
from shctl.common.errors import InvalidInput
from shctl.hypervisor.ownership import Owner
from shctl.install import boot_files, cmdline, trees
from shctl.install.cache import Cache
from shctl.install.fetch import TreeClient
from shctl.install.initrd import append_files, check_initrd, check_names, render
from shctl.xml.domain import Installer

SERIAL = "console=ttyS0"
# Bytes. Linux on x86 silently truncates the command line to COMMAND_LINE_SIZE, 2048 with the NUL.
MAX_CMDLINE = 2047

# Called with a file's name, the bytes done, and the total if known.

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class InstallOptions:
    """How to install a host; without `location`, it boots from the network.

    `inject` maps names of files in the initrd to their contents; `values` are inserted into them.
    `timeout` is in seconds. With `local`, the location may be a directory of this machine.
    """

    location: str | None = None
    cmdline: str = ""
    kernel: str | None = None
    initrd: str | None = None
    inject: Mapping[str, bytes] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    timeout: float = defaults.INSTALL_TIMEOUT
    local: bool = False


@dataclass(frozen=True)
class Media:
    """A tree's kernel and initrd in the cache, the command line, and answers by file name."""

    kernel: Path
    initrd: Path
    cmdline: str
    answers: Mapping[str, bytes]
    location: str


def check(options: InstallOptions) -> None:
    """Raise InvalidInput for options that contradict each other; nothing is downloaded yet."""
    if not options.cmdline.isprintable():
        raise InvalidInput("cmdline: must be one line of printable characters", field="cmdline")
    if options.location is None:
        for name in ("cmdline", "kernel", "initrd", "inject", "values"):
            if getattr(options, name):
                raise InvalidInput(f"{name}: only possible with a location", field=name)
    if options.values and not options.inject:
        raise InvalidInput("values: only possible with injected files", field="values")
    check_names(options.inject)


@contextmanager
def borrow(
    options: InstallOptions, values: Mapping[str, str], progress: Progress
) -> Iterator[Media | None]:
    """Yield the media of an installation, downloaded or cached; None for a network boot.

    The media stay in the cache for the duration of the block. `values` are inserted into the
    answers. Raise InvalidInput if there is no tree at the location, InstallFailed if its server
    does not work.
    """
    if options.location is None:
        yield None
        return
    with TreeClient() as client:
        tree, answers, line = _probe(client, options.location, options, values)
        with (
            _borrowed(client, tree, tree.kernel, progress, kernel=True) as kernel,
            _borrowed(client, tree, tree.initrd, progress, kernel=False) as initrd,
        ):
            if answers:
                check_initrd(initrd, tree.initrd)
            yield Media(kernel, initrd, line, answers, tree.location)


def check_location(options: InstallOptions, values: Mapping[str, str]) -> str:
    """Return the tree's location; raise what borrow() raises before it downloads a kernel."""
    with TreeClient() as client:
        return _probe(client, options.location or "", options, values)[0].location


def _probe(
    client: TreeClient, location: str, options: InstallOptions, values: Mapping[str, str]
) -> tuple[trees.Tree, dict[str, bytes], str]:
    """Return the tree, the answers with all values inserted, and the command line."""
    tree = trees.probe(
        location, kernel=options.kernel, initrd=options.initrd, local=options.local, client=client
    )
    known = {**values, "LOCATION": tree.base, **options.values}
    answers = {name: render(content, known) for name, content in options.inject.items()}
    return tree, answers, _cmdline(tree, options.cmdline)


@contextmanager
def _borrowed(
    client: TreeClient, tree: trees.Tree, path: str, progress: Progress, *, kernel: bool
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


def _cmdline(tree: trees.Tree, given: str) -> str:
    """Return the command line with what the tree needs, and a serial console for the log."""
    line = trees.arguments(tree, given)
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
    if media.answers:
        append_files(media.initrd, media.answers, initrd)
        if owner:
            boot_files.give(initrd, owner)
    else:
        boot_files.place(media.initrd, initrd)
    return Installer(str(kernel), str(initrd), media.cmdline)
