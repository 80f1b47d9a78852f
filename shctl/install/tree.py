"""An installation tree that was found, and the kernel arguments that its installer needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shctl.common.errors import InvalidInput
from shctl.common.model import Attempt, TreeDetail
from shctl.install.checksums import Checksum
from shctl.install.cmdline import join as join_cmdline
from shctl.install.cmdline import split
from shctl.install.http.urls import has_credentials, join, redact
from shctl.install.systems import System, read_kinds

# Kernel arguments with the same meaning as the first of their row: none is added if one is given.
SAME_MEANING = (
    ("inst.repo", "repo", "method"),
    ("method", "repo", "inst.repo"),
    ("inst.ks", "ks"),
    ("ks", "inst.ks"),
    ("inst.text", "inst.cmdline", "inst.graphical", "inst.vnc", "inst.rdp"),
    ("auto", "auto-install/enable"),
    ("priority", "debconf/priority"),
    ("autoyast", "autoyast2"),
    ("url", "iso-url", "netboot"),
    # A root file system of one's own needs none of the other arguments either.
    ("ramdisk_size", "root"),
)


@dataclass(frozen=True)
class Tree:
    """An installation tree; kernel, initrd and the keys of checksums are relative to `base`.

    `base` may contain a password, so repr() omits it; `location` is `base` redacted. `arch` is
    x86_64, i386, or x86 if only the kernel's header can distinguish them. `medium` is the URL of
    what the installer loads besides its initrd, None if there is none or it was not found.
    """

    location: str
    kind: str
    arch: str
    kernel: str
    initrd: str
    system: System
    arguments: tuple[str, ...]
    medium: str | None
    version: str | None
    checksums: Mapping[str, Checksum]
    attempts: tuple[Attempt, ...]
    how: str
    base: str = field(repr=False)

    def url(self, path: str) -> str:
        """Return the URL of a file of the tree, with the location's password."""
        return join(self.base, path)


def show(tree: Tree) -> TreeDetail:
    """Return a tree's details for output, without passwords."""
    return TreeDetail(
        location=tree.location,
        kind=tree.kind,
        version=tree.version,
        arch=tree.arch,
        how=tree.how,
        kernel=tree.kernel,
        initrd=tree.initrd,
        medium=redact(tree.medium) if tree.medium else None,
        arguments=tuple(_redacted(argument) for argument in tree.arguments),
        installer=tree.system.name,
        answers=read_kinds(tree.system),
        memory=tree.system.memory or None,
        attempts=tree.attempts,
    )


def _redacted(argument: str) -> str:
    name, sign, value = argument.partition("=")
    kept, separator, url = value.rpartition("live:")
    return f"{name}{sign}{kept}{separator}{redact(url)}" if "://" in url else argument


def arguments(tree: Tree, cmdline: str, more: Iterable[str] = ()) -> str:
    """Return cmdline, preceded by the arguments that the tree's installer needs and it lacks.

    `more` are arguments for answers. Raise InvalidInput if an argument would reveal the location's
    password, or if what the installer loads was not found.
    """
    # Arguments after "--" are init's, so they do not count.
    given = {word.partition("=")[0] for word in split(cmdline)[0].split()}
    needs = (*tree.arguments, *more)
    missing = [need for need in needs if not given & _same(need.partition("=")[0])]
    for need in missing:
        if has_credentials(tree.base) and tree.location in need:
            name = need.partition("=")[0]
            raise InvalidInput(
                f"{need} would show the password on the host's command line;"
                f" give {name}= in the command line yourself",
                field="cmdline",
            )
    _check_medium(tree, given)
    return join_cmdline(*missing, cmdline)


def _check_medium(tree: Tree, given: set[str]) -> None:
    needed = next((word for word in tree.system.arguments if "{medium}" in word), None)
    if not needed or tree.medium:
        return
    name, _, value = needed.partition("=")
    if not given & _same(name):
        what = f"{name}={value.replace('{medium}', 'URL')}"
        raise InvalidInput(
            f"location: the installer loads {tree.system.medium}, which was not found in or above"
            f" {tree.location}; give {what} in the command line",
            field="location",
        )


def _same(name: str) -> set[str]:
    return {name}.union(*(row for row in SAME_MEANING if row[0] == name))
