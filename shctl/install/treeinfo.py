"""The .treeinfo files of Red Hat's, SUSE's and their relatives' trees."""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shctl.install.checks import Checksum, parse_checksum

FAMILIES = (
    ("suse", "SUSE"),
    ("fedora", "Fedora"),
    ("rhel", "Red Hat|CentOS|Alma|Rocky|Scientific|Oracle|EuroLinux"),
)


@dataclass(frozen=True)
class TreeInfo:
    """What a .treeinfo says; paths are relative to it, arch is its own word."""

    kind: str
    version: str
    arch: str
    kernel: str
    initrd: str
    checksums: Mapping[str, Checksum]


def parse_treeinfo(text: str) -> TreeInfo | None:
    """Return what text says, None when it is no .treeinfo or names no kernel and initrd."""
    parser = configparser.ConfigParser(
        delimiters=("=",), interpolation=None, strict=False, default_section=""
    )
    # Paths are keys under [checksums]; by default they would be put in lower case.
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except (configparser.Error, ValueError):
        return None
    arch = _general(parser, "arch") or _only_arch(parser)
    images = f"images-{arch}"
    if not (parser.has_option(images, "kernel") and parser.has_option(images, "initrd")):
        return None
    return TreeInfo(
        _kind(_general(parser, "family")),
        _general(parser, "version"),
        arch,
        parser.get(images, "kernel"),
        parser.get(images, "initrd"),
        _checksums(parser),
    )


def _general(parser: configparser.ConfigParser, key: str) -> str:
    for section in ("general", "tree", "release"):
        if parser.has_option(section, key):
            return parser.get(section, key).strip()
    return ""


def _only_arch(parser: configparser.ConfigParser) -> str:
    """Return the architecture of the one images section, "" when there are more."""
    named = [name.removeprefix("images-") for name in parser if name.startswith("images-")]
    archs = [name for name in named if name != "xen"]
    return archs[0] if len(archs) == 1 else ""


def _kind(family: str) -> str:
    matching = (kind for kind, pattern in FAMILIES if re.search(pattern, family))
    return next(matching, "treeinfo")


def _checksums(parser: configparser.ConfigParser) -> dict[str, Checksum]:
    pairs = parser.items("checksums") if "checksums" in parser else ()
    return {path: checksum for path, text in pairs if (checksum := parse_checksum(text))}
