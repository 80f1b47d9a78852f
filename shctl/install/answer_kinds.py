"""Identify for which installer a file of answers is, by its content."""

import json
import re
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """A format of answers."""

    PRESEED = "preseed"
    KICKSTART = "kickstart"
    AUTOINSTALL = "autoinstall"
    CLOUD_CONFIG = "cloud-config"
    AUTOYAST = "AutoYaST"
    AGAMA = "Agama"
    IGNITION = "Ignition"
    ALPINE = "Alpine answers"


_HEAD = 1 << 20  # bytes that are searched; answers have a few thousand
# "owner template type value", see B.5.1 in the installation guide of Debian.
_PRESEED = re.compile(
    rb"^[a-z0-9][a-z0-9+.-]*[ \t]+[^ \t\n#/]+/[^ \t\n]+[ \t]+"
    rb"(?:boolean|error|multiselect|note|password|seen|select|string|text|title)(?:[ \t\r]|$)",
    re.MULTILINE,
)
_SECTION = re.compile(rb"^%(?:addon|include|ksappend|onerror|packages|post|pre)\b", re.MULTILINE)
_COMMAND = re.compile(
    rb"^(?:autopart|bootloader|cdrom|clearpart|cmdline|graphical|ignoredisk|keyboard|lang|liveimg|"
    rb"network|ostreecontainer|ostreesetup|part|partition|rootpw|text|timezone|url|zerombr)"
    rb"(?:[ \t\r]|$)",
    re.MULTILINE,
)
_COMMANDS = 2  # a text may begin a line with "text" or "network"; one with two commands is none
_AUTOINSTALL = re.compile(rb"^autoinstall[ \t]*:", re.MULTILINE)
_ALPINE = re.compile(
    rb"^[ \t]*(?:export[ \t]+)?(?:DISKOPTS|HOSTNAMEOPTS|INTERFACESOPTS|KEYMAPOPTS|LBUOPTS)=",
    re.MULTILINE,
)
_AUTOYAST = re.compile(rb"<profile\b[^<>]*\bxmlns\s*=\s*[\"']http://www\.suse\.com/1\.0/yast2ns")
_AGAMA_KEYS = {"bootloader", "localization", "product", "questions", "root", "scripts", "software",
               "storage", "user"}  # fmt: skip


def identify(content: bytes) -> Kind | None:
    """Return the kind of a file of answers, None if it is not certain."""
    head = content[:_HEAD].removeprefix(b"\xef\xbb\xbf")
    # JSON and XML first: their texts may contain lines of the other formats.
    start = head.lstrip()[:1]
    if start == b"{":
        return _of_json(head)
    if start == b"<":
        return Kind.AUTOYAST if _AUTOYAST.search(head) else None
    if _AUTOINSTALL.search(head):
        return Kind.AUTOINSTALL
    if head.startswith(b"#cloud-config"):
        return Kind.CLOUD_CONFIG
    return _of_lines(head)


def _of_lines(text: bytes) -> Kind | None:
    found = []
    if _PRESEED.search(text):
        found.append(Kind.PRESEED)
    if _ALPINE.search(text):
        found.append(Kind.ALPINE)
    commands = {match[0].strip() for match in _COMMAND.finditer(text)}
    if _SECTION.search(text) or len(commands) >= _COMMANDS:
        found.append(Kind.KICKSTART)
    # A kickstart's %post may well write another installer's answers.
    return found[-1] if found else None


def _of_json(text: bytes) -> Kind | None:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value.get("ignition"), dict):
        return Kind.IGNITION
    return Kind.AGAMA if _AGAMA_KEYS & value.keys() else None
