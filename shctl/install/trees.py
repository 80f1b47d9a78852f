"""Find kernel and initrd of an installation tree, by .treeinfo or by the known layouts."""

import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from shctl.common.errors import InvalidInput
from shctl.common.model import Attempt, TreeDetail
from shctl.install import text_files
from shctl.install.checksums import Checksum, parse_sums
from shctl.install.cmdline import join as join_cmdline
from shctl.install.cmdline import split
from shctl.install.fetch import TreeClient
from shctl.install.http.urls import has_credentials, is_inside, join, parse_location, redact
from shctl.install.layouts import (
    ARCHS,
    BOOTABLE,
    LAYOUTS,
    Layout,
    fill,
    find_archs,
    is_arch_in,
    is_marked,
)
from shctl.install.probe import Probe
from shctl.install.treeinfo import TreeInfo, parse_treeinfo

# Kernel arguments with the same meaning as the first of their row: none is added if one is given.
SAME_MEANING = (("inst.repo", "repo", "method"), ("method", "repo", "inst.repo"), ("install",))
# The argument that names the tree, by the tree's kind.
ARGUMENTS = {"suse": "install", "fedora": "inst.repo", "rhel": "inst.repo"}
FIRST_WITH_INST_REPO = 7  # release of Red Hat Enterprise Linux; older ones know "method" only


class NoTree(InvalidInput):
    """There is no installation tree at a location; `full` is the message with every file tried."""

    def __init__(self, detail: str, full: str) -> None:
        super().__init__(detail, field="location")
        self.full = full


@dataclass(frozen=True)
class Tree:
    """An installation tree; kernel, initrd and the keys of checksums are relative to `base`.

    `base` may contain a password, so repr() omits it; `location` is `base` redacted. `arch` is
    x86_64, i386, or x86 if only the kernel's header can distinguish them.
    """

    location: str
    kind: str
    arch: str
    kernel: str
    initrd: str
    arguments: tuple[str, ...]
    checksums: Mapping[str, Checksum]
    attempts: tuple[Attempt, ...]
    how: str
    base: str = field(repr=False)

    def url(self, path: str) -> str:
        """Return the URL of a file of the tree, with the location's password."""
        return join(self.base, path)


@dataclass(frozen=True)
class _Match:
    """Kernel and initrd of a tree, and `how` they were found."""

    kind: str
    arch: str
    kernel: str
    initrd: str
    how: str
    checksums: Mapping[str, Checksum]
    argument: str = ""


def probe(
    location: str,
    *,
    kernel: str | None = None,
    initrd: str | None = None,
    local: bool = False,
    client: TreeClient | None = None,
) -> Tree:
    """Find kernel and initrd below location: a URL, or with `local` also a directory.

    `kernel` and `initrd`, paths below the location, replace those found. Raise InvalidInput if
    there is no tree, or one for another architecture; InstallFailed if the server does not work.
    """
    base = parse_location(location, local=local)
    _check_override(kernel, initrd)
    with nullcontext(client) if client else TreeClient() as tree_client:
        search = Probe(base, tree_client)
        match = next(_by_treeinfo(search), None) or next(_by_layout(search), None)
        if kernel and initrd:
            match = _override(search, match, kernel, initrd)
        elif match is None:
            raise _no_tree(search)
        return _tree(search, match)


def show(tree: Tree) -> TreeDetail:
    """Return a tree's details for output, without passwords."""
    return TreeDetail(
        location=tree.location,
        kind=tree.kind,
        arch=tree.arch,
        how=tree.how,
        kernel=tree.kernel,
        initrd=tree.initrd,
        arguments=tuple(_redacted(argument) for argument in tree.arguments),
        attempts=tree.attempts,
    )


def _redacted(argument: str) -> str:
    name, sign, value = argument.partition("=")
    return f"{name}{sign}{redact(value)}"


def arguments(tree: Tree, cmdline: str) -> str:
    """Return cmdline, preceded by the arguments that the tree's installer needs and it lacks.

    Raise InvalidInput if such an argument would reveal the location's password.
    """
    # Arguments after "--" are init's, so they do not count.
    given = {word.partition("=")[0] for word in split(cmdline)[0].split()}
    missing = [need for need in tree.arguments if not given & _same(need.partition("=")[0])]
    if missing and has_credentials(tree.base):
        name = missing[0].partition("=")[0]
        raise InvalidInput(
            f"{missing[0]} would show the password on the host's command line;"
            f" give {name}= in the command line yourself",
            field="cmdline",
        )
    return join_cmdline(*missing, cmdline)


def _same(name: str) -> set[str]:
    return {name}.union(*(row for row in SAME_MEANING if row[0] == name))


def _check_override(kernel: str | None, initrd: str | None) -> None:
    if bool(kernel) != bool(initrd):
        raise InvalidInput("kernel and initrd must be given together", field="kernel")
    for name, path in (("kernel", kernel), ("initrd", initrd)):
        if path and not is_inside(path):
            raise InvalidInput(f"{name} must be a path below the location, without ..", field=name)


def _by_treeinfo(search: Probe) -> Iterator[_Match]:
    for name in (".treeinfo", "treeinfo"):
        lines = search.lines(join(search.base, name))
        info = parse_treeinfo(lines) if lines else None
        if info is None:
            if lines is not None:
                search.doubts.append(f"{name} names no kernel and initrd")
            continue
        if not is_inside(info.kernel) or not is_inside(info.initrd):
            raise InvalidInput(f"{name} names files outside of the tree", field="location")
        arch = _bootable({ARCHS.get(info.arch, info.arch)}, name)[0]
        if search.has(info.kernel, info.initrd):
            yield _Match(
                info.kind,
                arch,
                info.kernel,
                info.initrd,
                f"named in {name}",
                info.checksums,
                _argument(info),
            )


def _argument(info: TreeInfo) -> str:
    """Return the name of the kernel argument that gives an installer the URL of its tree."""
    # Nine digits at most: int() refuses thousands of them.
    major = re.match(r"[0-9]+", info.version[:9])
    if info.kind == "rhel" and major and int(major[0]) < FIRST_WITH_INST_REPO:
        return "method"
    return "inst.repo" if info.is_anaconda else ARGUMENTS.get(info.kind, "")


def _by_layout(search: Probe) -> Iterator[_Match]:
    for layout in LAYOUTS:
        archs, how = _archs(search, layout)
        for pair in layout.pairs if archs is not None else ():
            for arch in _choices(search, pair, archs or []):
                kernel, initrd = (fill(path, arch) for path in pair)
                if search.has(kernel, initrd):
                    sums = _checksums(search, layout, kernel, initrd)
                    argument = ARGUMENTS.get(layout.kind, "")
                    yield _Match(layout.kind, arch, kernel, initrd, how or kernel, sums, argument)


def _archs(search: Probe, layout: Layout) -> tuple[list[str] | None, str]:
    """Return a layout's architectures, and how it was found.

    The list is empty if the architecture is unknown, None if the layout does not apply.
    """
    in_url = find_archs([unquote(urlsplit(search.base).path)])
    if not layout.marker:
        return [arch for arch in BOOTABLE if arch in in_url], "its files exist"
    lines = search.lines(join(search.base, layout.marker))
    if lines is None or not is_marked(layout, lines):
        return None, ""
    how = f"{layout.marker} mentions {layout.kind}"
    archs = find_archs(lines) or in_url
    return _bootable(archs, layout.marker) if archs else [], how


def _bootable(archs: set[str], source: str) -> list[str]:
    """Return those architectures that hosts can boot; raise InvalidInput if there is none."""
    bootable = [arch for arch in BOOTABLE if arch in archs]
    if not bootable:
        names = ", ".join(sorted(archs - {""})) or "unknown"
        raise InvalidInput(
            f"the tree's architecture is {names} according to {source}, but hosts are x86_64;"
            " give the tree for x86_64",
            field="location",
        )
    return bootable


def _choices(search: Probe, pair: tuple[str, str], archs: list[str]) -> list[str]:
    """Return the architectures to try; if a path contains one, its existence is evidence enough."""
    if is_arch_in(pair):
        return archs or list(BOOTABLE)
    if len(archs) == 1:
        return archs
    if search.has(*pair):
        search.doubts.append(f"the architecture of {pair[0]} is unknown")
    return []


def _checksums(search: Probe, layout: Layout, kernel: str, initrd: str) -> dict[str, Checksum]:
    """Return the published checksums of kernel and initrd, as far as there are any."""
    url = join(search.base, layout.sums) if layout.sums else _debian_sums(search, kernel)
    top = url.rpartition("/")[0] + "/"
    paths = {unquote(join(search.base, path).removeprefix(top)): path for path in (kernel, initrd)}
    lines = (url and search.lines(url, text_files.MAX_CHECKSUM_LINES)) or ()
    # Filtered before parsing: a distribution's list may have 90,000 lines.
    relevant = (line for line in lines if line.endswith(tuple(paths)))
    return {paths[name]: checksum for name, checksum in parse_sums(relevant) if name in paths}


def _debian_sums(search: Probe, kernel: str) -> str:
    images = re.match(r"(.+/(?:(?:legacy-)?images|daily)/)netboot/", join(search.base, kernel))
    return f"{images[1]}SHA256SUMS" if images else ""


def _override(search: Probe, match: _Match | None, kernel: str, initrd: str) -> _Match:
    if not search.has(kernel, initrd):
        tried = search.summary(only=(kernel, initrd))
        raise InvalidInput(
            f"cannot use kernel and initrd at {redact(search.base)}: {tried}; check the paths",
            field="location",
        )
    if match is None:
        # The download checks the kernel's header for x86.
        return _Match("kernel", "x86", kernel, initrd, "as requested", {})
    return replace(match, kernel=kernel, initrd=initrd, how=f"as requested; {match.how}")


def _tree(search: Probe, match: _Match) -> Tree:
    location = redact(search.base)
    # A guest cannot reach a directory of this machine.
    needed = match.argument and not location.startswith("file:")
    return Tree(
        location=location,
        kind=match.kind,
        arch=match.arch,
        kernel=match.kernel,
        initrd=match.initrd,
        arguments=(f"{match.argument}={location}",) if needed else (),
        checksums=match.checksums,
        attempts=tuple(search.attempts),
        how=match.how,
        base=search.base,
    )


def _no_tree(search: Probe) -> NoTree:
    doubts = "".join(f"{doubt}; " for doubt in dict.fromkeys(search.doubts))
    problem = f"no installation tree at {redact(search.base)}: {doubts}"
    remedy = "give the directory that contains the tree, or kernel and initrd as paths below it"
    return NoTree(
        f"{problem}{search.summary()}; {remedy}; 'shctl trees probe' shows every file tried",
        f"{problem}{search.summary(len(search.attempts))}; {remedy}",
    )
