"""Parse .treeinfo files, which Red Hat's, SUSE's and related distributions publish."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shctl.install.checksums import Checksum, parse_checksum

FAMILIES = (
    ("suse", "SUSE"),
    ("fedora", "Fedora"),
    # Distributions with Red Hat's release numbers, see FIRST_WITH_INST_REPO in trees.py.
    ("rhel", "Red Hat|CentOS|Alma|Rocky|Scientific|Oracle|EuroLinux|CloudLinux|MIRACLE|Springdale"),
)
PXEBOOT = "images/pxeboot/"

_SEPARATOR = re.compile("[=:]")

Sections = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class TreeInfo:
    """The content of a .treeinfo; paths are relative to it, `arch` is as written there.

    `is_anaconda` says whether the installer is Anaconda; many distributions use it.
    """

    kind: str
    version: str
    arch: str
    kernel: str
    initrd: str
    checksums: Mapping[str, Checksum]
    is_anaconda: bool


def parse_treeinfo(lines: Iterable[str]) -> TreeInfo | None:
    """Parse a .treeinfo; return None if it names no kernel and initrd."""
    sections = _parse_sections(lines)
    arch = _general(sections, "arch") or _only_arch(sections)
    images = sections.get(f"images-{arch}", {})
    if "kernel" not in images or "initrd" not in images:
        return None
    kind = _kind(_general(sections, "family"))
    kernel = images["kernel"]
    return TreeInfo(
        kind,
        _general(sections, "version"),
        arch,
        kernel,
        images["initrd"],
        _checksums(sections.get("checksums", {})),
        kind != "suse" and ("stage2" in sections or kernel.startswith(PXEBOOT)),
    )


def _parse_sections(lines: Iterable[str]) -> Sections:
    """Return keys and values by section; the last one of repeated keys counts.

    Keys are lower-cased, except in [checksums], where they are paths. Lines that are neither a
    section nor "key = value" or "key: value" are skipped, and so are lines before the first
    section. configparser would reject real .treeinfo files for these reasons.
    """
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in lines:
        if line.startswith("[") and line.endswith("]"):
            section = sections.setdefault(line[1:-1], {})
        elif not line.startswith(("#", ";")):
            key, *value = _SEPARATOR.split(line, 1)
            if value:
                section[key.rstrip()] = value[0].lstrip()
    for name in sections.keys() - {"checksums"}:
        sections[name] = {key.lower(): value for key, value in sections[name].items()}
    return sections


def _general(sections: Sections, key: str) -> str:
    values = (
        sections[name].get(key) for name in ("general", "tree", "release") if name in sections
    )
    return next((value for value in values if value is not None), "")


def _only_arch(sections: Sections) -> str:
    """Return the architecture of the only images section, "" if there are several."""
    names = [name.removeprefix("images-") for name in sections if name.startswith("images-")]
    archs = [name for name in names if name != "xen"]
    return archs[0] if len(archs) == 1 else ""


def _kind(family: str) -> str:
    matching = (kind for kind, pattern in FAMILIES if re.search(pattern, family))
    return next(matching, "treeinfo")


def _checksums(pairs: Mapping[str, str]) -> dict[str, Checksum]:
    return {path: checksum for path, text in pairs.items() if (checksum := parse_checksum(text))}
