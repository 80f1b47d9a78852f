"""What an installer boots: kernel and initrd out of a tree, answers and the command line added."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shctl.common.errors import InvalidInput
from shctl.hypervisor.ownership import Owner
from shctl.install import boot_files, cmdline, trees
from shctl.install.cache import Cache
from shctl.install.fetch import Client
from shctl.install.initrd import append_files, check_initrd, check_names, render
from shctl.xml.domain import Installer

SERIAL = "console=ttyS0"
# Linux on x86 cuts its command line off at 2048 bytes, the last a NUL, and says nothing.
MAX_CMDLINE = 2047

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class InstallOptions:
    """How a host is to be installed; without `location` from the network.

    `inject` maps the name of a file in the initrd to its content, `values` what is filled into
    texts; `timeout` in seconds; with `local` the tree may be a directory of this machine.
    """

    location: str | None = None
    cmdline: str = ""
    kernel: str | None = None
    initrd: str | None = None
    inject: Mapping[str, bytes] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 7200
    local: bool = False


@dataclass(frozen=True)
class Media:
    """A tree's kernel and initrd in the cache, and what goes with them."""

    kernel: Path
    initrd: Path
    cmdline: str
    answers: Mapping[str, bytes]
    location: str


def check(options: InstallOptions) -> None:
    """Raise InvalidInput for what cannot be, before anything is fetched."""
    if not options.cmdline.isprintable():
        raise InvalidInput("cmdline: it must be one line of printable characters", field="cmdline")
    if options.location is None:
        for name in ("cmdline", "kernel", "initrd", "inject", "values"):
            if getattr(options, name):
                raise InvalidInput(f"{name}: it needs a location to install from", field=name)
    if options.values and not options.inject:
        raise InvalidInput("values: they are for injected files; there are none", field="values")
    check_names(options.inject)


@contextmanager
def borrow(
    options: InstallOptions, values: Mapping[str, str], progress: Progress
) -> Iterator[Media | None]:
    """Yield the media of an installation, fetched where need be; None for one from the network.

    `values` is filled into the answers. Raises InvalidInput when the location is no tree, and
    InstallFailed when its server fails; nothing is left then.
    """
    if options.location is None:
        yield None
        return
    with Client() as client:
        tree = trees.probe(
            options.location,
            kernel=options.kernel,
            initrd=options.initrd,
            local=options.local,
            client=client,
        )
        known = {**values, "LOCATION": tree.base, **options.values}
        answers = {name: render(content, known) for name, content in options.inject.items()}
        line = _cmdline(tree, options.cmdline)
        with (
            _borrowed(client, tree, tree.kernel, progress, kernel=True) as kernel,
            _borrowed(client, tree, tree.initrd, progress, kernel=False) as initrd,
        ):
            if answers:
                check_initrd(initrd, tree.initrd)
            yield Media(kernel, initrd, line, answers, tree.location)


@contextmanager
def _borrowed(
    client: Client, tree: trees.Tree, path: str, progress: Progress, *, kernel: bool
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
    """Return the command line with the tree's needs, and a console that the log can hear."""
    line = trees.arguments(tree, given)
    ours, for_init = cmdline.split(line)
    if not any(word.startswith("console=") for word in ours.split()):
        line = cmdline.join(ours, SERIAL, for_init)
    if len(line.encode()) > MAX_CMDLINE:
        raise InvalidInput(
            f"cmdline: {len(line.encode())} bytes with what the tree needs;"
            f" Linux cuts it off after {MAX_CMDLINE}",
            field="cmdline",
        )
    return line


def stage(media: Media | None, host: str, owner: Owner | None = None) -> Installer:
    """Give a host boot files of its own, which no clean-up of the cache takes away.

    Answers are for QEMU's user alone: `owner`, where libvirt does not see to that.
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
