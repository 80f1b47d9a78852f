"""The .treeinfo files of Red Hat's, SUSE's and their relatives' trees."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shctl.install.checksums import Checksum, parse_checksum

FAMILIES = (
    ("suse", "SUSE"),
    ("fedora", "Fedora"),
    # Those that number their releases as Red Hat does.
    ("rhel", "Red Hat|CentOS|Alma|Rocky|Scientific|Oracle|EuroLinux|CloudLinux|MIRACLE|Springdale"),
)
PXEBOOT = "images/pxeboot/"

_SIGN = re.compile("[=:]")

Sections = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class TreeInfo:
    """What a .treeinfo says; paths are relative to it, arch is its own word.

    Is_anaconda tells whether the installer is Red Hat's, whatever the family is called.
    """

    kind: str
    version: str
    arch: str
    kernel: str
    initrd: str
    checksums: Mapping[str, Checksum]
    is_anaconda: bool


def parse_treeinfo(lines: Iterable[str]) -> TreeInfo | None:
    """Return what lines say, None when they are no .treeinfo or name no kernel and initrd."""
    sections = _read(lines)
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


def _read(lines: Iterable[str]) -> Sections:
    """Return keys and values by section; of keys that come twice the last counts.

    Keys under [checksums] are paths; those of other sections may be written in capitals. What is
    neither a section nor "key = value" or "key: value" is skipped, and so is all that stands before
    the first section.
    """
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in lines:
        if line.startswith("[") and line.endswith("]"):
            section = sections.setdefault(line[1:-1], {})
        elif not line.startswith(("#", ";")):
            key, *value = _SIGN.split(line, 1)
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
    """Return the architecture of the one images section, "" when there are more."""
    named = [name.removeprefix("images-") for name in sections if name.startswith("images-")]
    archs = [name for name in named if name != "xen"]
    return archs[0] if len(archs) == 1 else ""


def _kind(family: str) -> str:
    matching = (kind for kind, pattern in FAMILIES if re.search(pattern, family))
    return next(matching, "treeinfo")


def _checksums(pairs: Mapping[str, str]) -> dict[str, Checksum]:
    return {path: checksum for path, text in pairs.items() if (checksum := parse_checksum(text))}
