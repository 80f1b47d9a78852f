"""Finding kernel and initrd in an installation tree, by the layouts of layouts.py."""

import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from shctl.common import model
from shctl.common.errors import InvalidInput
from shctl.install import text_files
from shctl.install.checksums import Checksum, parse_sums
from shctl.install.cmdline import join as join_cmdline
from shctl.install.cmdline import split
from shctl.install.fetch import Client
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
from shctl.install.probe import Attempt, Search
from shctl.install.treeinfo import TreeInfo, parse_treeinfo

# Kernel arguments that say the same as the first of their row, so that it is not added to them.
SAME_MEANING = (("inst.repo", "repo", "method"), ("method", "repo", "inst.repo"), ("install",))
# By the kind of tree, where that is known.
ARGUMENTS = {"suse": "install", "fedora": "inst.repo", "rhel": "inst.repo"}
FIRST_WITH_INST_REPO = 7


@dataclass(frozen=True)
class Tree:
    """An installation tree; kernel, initrd and the keys of checksums are relative to base.

    Base may hold a password, so it does not show; location is the same without it. Arch is x86_64,
    i386, or x86 where only the kernel itself can tell.
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
        """Return the URL to fetch path from, with the location's password."""
        return join(self.base, path)


@dataclass(frozen=True)
class _Find:
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
    client: Client | None = None,
) -> Tree:
    """Find kernel and initrd below location, a URL or with local also a directory.

    Kernel and initrd, paths below location, replace those found. Raise InvalidInput when there is
    no tree or one of another architecture, InstallFailed when the server does not work.
    """
    base = parse_location(location, local=local)
    _check_override(kernel, initrd)
    with nullcontext(client) if client else Client() as http:
        search = Search(base, http)
        found = next(_treeinfos(search), None) or next(_rows(search), None)
        if kernel and initrd:
            found = _override(search, found, kernel, initrd)
        if found is None:
            raise _not_found(search)
        return _tree(search, found)


def show(tree: Tree) -> model.TreeDetail:
    """Return what a person wants to know of a tree, without its password."""
    return model.TreeDetail(
        location=tree.location,
        kind=tree.kind,
        arch=tree.arch,
        how=tree.how,
        kernel=tree.kernel,
        initrd=tree.initrd,
        arguments=tuple(_redacted(argument) for argument in tree.arguments),
        attempts=tuple(model.Attempt(a.url, str(a.status)) for a in tree.attempts),
    )


def _redacted(argument: str) -> str:
    name, sign, value = argument.partition("=")
    return f"{name}{sign}{redact(value)}"


def arguments(tree: Tree, cmdline: str) -> str:
    """Return cmdline with what the tree's installer needs put before it, unless given there.

    What stands behind a lone -- is init's, so it gives nothing. Raise InvalidInput when that would
    show the location's password.
    """
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
        raise InvalidInput("kernel and initrd go together; give both or neither", field="kernel")
    for name, path in (("kernel", kernel), ("initrd", initrd)):
        if path and not is_inside(path):
            raise InvalidInput(f"{name} must be a path below the location, without ..", field=name)


def _treeinfos(search: Search) -> Iterator[_Find]:
    for name in (".treeinfo", "treeinfo"):
        lines = search.text(join(search.base, name))
        info = parse_treeinfo(lines) if lines else None
        if info is None:
            if lines is not None:
                search.doubts.append(f"{name} names no kernel and initrd")
            continue
        if not is_inside(info.kernel) or not is_inside(info.initrd):
            raise InvalidInput(f"{name} names files outside of the tree", field="location")
        arch = _bootable({ARCHS.get(info.arch, info.arch)}, name)[0]
        if search.has(info.kernel, info.initrd):
            yield _Find(
                info.kind,
                arch,
                info.kernel,
                info.initrd,
                f"{name} says so",
                info.checksums,
                _argument(info),
            )


def _argument(info: TreeInfo) -> str:
    """Return the name of the kernel argument that tells an installer where its tree is."""
    major = re.match(r"[0-9]+", info.version[:9])
    if info.kind == "rhel" and major and int(major[0]) < FIRST_WITH_INST_REPO:
        return "method"
    return "inst.repo" if info.is_anaconda else ARGUMENTS.get(info.kind, "")


def _rows(search: Search) -> Iterator[_Find]:
    for layout in LAYOUTS:
        archs, how = _archs(search, layout)
        for pair in layout.pairs if archs is not None else ():
            for arch in _choices(search, pair, archs or []):
                kernel, initrd = (fill(path, arch) for path in pair)
                if search.has(kernel, initrd):
                    sums = _sums(search, layout, kernel, initrd)
                    argument = ARGUMENTS.get(layout.kind, "")
                    yield _Find(layout.kind, arch, kernel, initrd, how or kernel, sums, argument)


def _archs(search: Search, layout: Layout) -> tuple[list[str] | None, str]:
    """Return the row's architectures, none when nothing tells, None when the row does not fit."""
    in_url = find_archs([unquote(urlsplit(search.base).path)])
    if not layout.marker:
        return [arch for arch in BOOTABLE if arch in in_url], "the files are there"
    lines = search.text(join(search.base, layout.marker))
    if lines is None or not is_marked(layout, lines):
        return None, ""
    how = f"{layout.marker} speaks of {layout.kind}"
    named = find_archs(lines) or in_url
    return _bootable(named, layout.marker) if named else [], how


def _bootable(told: set[str], where: str) -> list[str]:
    fitting = [arch for arch in BOOTABLE if arch in told]
    if not fitting:
        named = ", ".join(sorted(told - {""})) or "unknown"
        raise InvalidInput(
            f"the tree's architecture is {named} by {where}, hosts are x86_64;"
            " choose the tree for x86_64",
            field="location",
        )
    return fitting


def _choices(search: Search, pair: tuple[str, str], archs: list[str]) -> list[str]:
    """Return the architectures to look for; a path that names one is its own evidence."""
    if is_arch_in(pair):
        return archs or list(BOOTABLE)
    if len(archs) == 1:
        return archs
    if search.has(*pair):
        search.doubts.append(f"nothing tells the architecture of {pair[0]}")
    return []


def _sums(search: Search, layout: Layout, kernel: str, initrd: str) -> dict[str, Checksum]:
    """Return the checksums published for the two, as far as there are any."""
    place = join(search.base, layout.sums) if layout.sums else _debian_sums(search, kernel)
    top = place.rpartition("/")[0] + "/"
    paths = {unquote(join(search.base, path).removeprefix(top)): path for path in (kernel, initrd)}
    lines = (place and search.text(place, text_files.MOST_SUMS)) or ()
    about = (line for line in lines if line.endswith(tuple(paths)))
    return {paths[name]: checksum for name, checksum in parse_sums(about) if name in paths}


def _debian_sums(search: Search, kernel: str) -> str:
    images = re.match(r"(.+/(?:(?:legacy-)?images|daily)/)netboot/", join(search.base, kernel))
    return f"{images[1]}SHA256SUMS" if images else ""


def _override(search: Search, found: _Find | None, kernel: str, initrd: str) -> _Find | None:
    if not search.has(kernel, initrd):
        return None
    if found is None:
        # The kernel's header is checked when it is fetched, so x86 is no guess.
        return _Find("kernel", "x86", kernel, initrd, "as asked", {})
    return replace(found, kernel=kernel, initrd=initrd, how=f"as asked; {found.how}")


def _tree(search: Search, found: _Find) -> Tree:
    location = redact(search.base)
    # A guest cannot reach a directory of this machine.
    needed = found.argument and not location.startswith("file:")
    return Tree(
        location=location,
        kind=found.kind,
        arch=found.arch,
        kernel=found.kernel,
        initrd=found.initrd,
        arguments=(f"{found.argument}={location}",) if needed else (),
        checksums=found.checksums,
        attempts=tuple(search.attempts),
        how=found.how,
        base=search.base,
    )


def _not_found(search: Search) -> InvalidInput:
    doubts = "".join(f"{doubt}; " for doubt in dict.fromkeys(search.doubts))
    return InvalidInput(
        f"no installation tree at {redact(search.base)}: {doubts}tried {search.tell()}; give the"
        " directory that holds the tree, or kernel and initrd as paths below it",
        field="location",
    )
