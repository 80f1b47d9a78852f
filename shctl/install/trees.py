"""Find kernel and initrd of an installation tree, by .treeinfo or by the known layouts."""

import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from shctl.common.errors import InvalidInput
from shctl.install import text_files
from shctl.install.checksums import Checksum, parse_sums
from shctl.install.fetch import TreeClient
from shctl.install.http.urls import is_inside, join, parse_location, redact
from shctl.install.layouts import (
    ARCHS,
    BOOTABLE,
    D_I,
    LAYOUTS,
    Layout,
    fill,
    find_archs,
    find_release,
    is_arch_in,
    is_marked,
)
from shctl.install.medium import LIVE_IMAGE
from shctl.install.medium import find as find_medium
from shctl.install.probe import Probe
from shctl.install.systems import SYSTEMS, UNKNOWN, System
from shctl.install.tree import Tree
from shctl.install.treeinfo import TreeInfo, parse_treeinfo

# Before this release of Red Hat Enterprise Linux, the installer knew other arguments.
FIRST_WITH_INST_REPO = 7
FIRST_WITH_AGAMA = 16  # release of SUSE Linux Enterprise and Leap
FIRST_DATE = 2000_00_00


class NoTree(InvalidInput):
    """There is no installation tree at a location; `full` is the message with every file tried."""

    def __init__(self, detail: str, full: str) -> None:
        super().__init__(detail, field="location")
        self.full = full


@dataclass(frozen=True)
class _Match:
    """Kernel and initrd of a tree, and `how` they were found."""

    kind: str
    system: str
    arch: str
    kernel: str
    initrd: str
    how: str
    checksums: Mapping[str, Checksum]
    version: str | None = None


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
                _system(info),
                arch,
                info.kernel,
                info.initrd,
                f"named in {name}",
                info.checksums,
                info.version[:20] or None,
            )


def _system(info: TreeInfo) -> str:
    """Return the installer of a tree with a .treeinfo."""
    if info.kind == "suse":
        return "yast"
    is_old = _major(info.version, FIRST_WITH_INST_REPO) < FIRST_WITH_INST_REPO
    if info.kind == "rhel" and is_old:
        return "anaconda-6"
    # Many distributions are made from those two, under other names.
    return "anaconda" if info.is_anaconda or info.kind in ("fedora", "rhel") else UNKNOWN.name


def _major(version: str, default: int) -> int:
    # Nine digits at most: int() refuses thousands of them.
    found = re.match(r"[0-9]+", version[:9])
    return int(found[0]) if found else default


def _by_layout(search: Probe) -> Iterator[_Match]:
    release = find_release(unquote(urlsplit(search.base).path))
    for layout in LAYOUTS:
        archs, how = _archs(search, layout)
        for pair in layout.pairs if archs is not None else ():
            for arch in _choices(search, pair, archs or []):
                kernel, initrd = (fill(path, arch, release) for path in pair)
                if search.has(kernel, initrd):
                    sums = _checksums(search, layout, kernel, initrd)
                    # Debian's netboot directory looks like Ubuntu's, but for its path.
                    is_debian = layout.kind == "netboot" and f"/{D_I}/" in search.base
                    yield _Match(
                        layout.kind,
                        D_I if is_debian else layout.system,
                        arch,
                        kernel,
                        initrd,
                        how or kernel,
                        sums,
                        release,
                    )


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
        return _Match("kernel", UNKNOWN.name, "x86", kernel, initrd, "as requested", {})
    return replace(match, kernel=kernel, initrd=initrd, how=f"as requested; {match.how}")


def _tree(search: Probe, match: _Match) -> Tree:
    is_agama = match.system == "yast" and _is_agama(search, match.version)
    system = SYSTEMS["agama" if is_agama else match.system]
    medium = find_medium(search, system, match.initrd)
    return Tree(
        location=redact(search.base),
        kind=match.kind,
        arch=match.arch,
        kernel=match.kernel,
        initrd=match.initrd,
        system=system,
        arguments=tuple(_arguments(search, system, medium)),
        medium=medium,
        version=match.version,
        checksums=match.checksums,
        attempts=tuple(search.attempts),
        how=match.how,
        base=search.base,
    )


def _is_agama(search: Probe, version: str | None) -> bool:
    """Return whether the installer of a SUSE tree is Agama, which replaced YaST."""
    major = _major(version or "", 0)
    if 0 < major < FIRST_WITH_AGAMA:
        return False
    # The version of openSUSE Tumbleweed is a date, such as 20260101.
    return FIRST_WITH_AGAMA <= major < FIRST_DATE or search.exists(LIVE_IMAGE)


def _arguments(search: Probe, system: System, medium: str | None) -> Iterator[str]:
    """Yield the arguments of the kernel whose values are known."""
    location = redact(search.base)
    # A guest cannot reach a directory of this machine.
    is_local = location.startswith("file:")
    values = {
        "tree": None if is_local else location,
        "medium": redact(medium) if medium else None,
        "repository": None if is_local else _repository(location),
        "mirror": None if is_local else _above(location, "arch"),
    }
    for argument in system.arguments:
        used = re.findall(r"{(\w+)}", argument)
        if all(values[name] for name in used):
            yield argument.format(**values)


def _repository(location: str) -> str | None:
    """Return the URL of Alpine's main packages, None if the tree is not on a mirror."""
    found = re.match(r"(.*/(?:v[0-9.]+|edge|latest-stable)/)", location)
    return f"{found[1]}main" if found else None


def _above(location: str, directory: str) -> str:
    """Return the URL of what a directory of this name is in."""
    return location.removesuffix(f"{directory}/")


def _no_tree(search: Probe) -> NoTree:
    doubts = "".join(f"{doubt}; " for doubt in dict.fromkeys(search.doubts))
    problem = f"no installation tree at {redact(search.base)}: {doubts}"
    remedy = "give the directory that contains the tree, or kernel and initrd as paths below it"
    return NoTree(
        f"{problem}{search.summary()}; {remedy}; 'shctl trees probe' shows every file tried",
        f"{problem}{search.summary(len(search.attempts))}; {remedy}",
    )
