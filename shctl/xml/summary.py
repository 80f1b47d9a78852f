"""Read what a list of hosts shows from libvirt's XML, with regular expressions.

Parsing the XML of 1,000 hosts would take as long as all the rest of the list together, and lxml's
import as long as a third of it. libvirt writes attributes of its own in single quotes, and metadata
before devices; libxml2 writes those of metadata in double quotes. What is read here is only shown.
"""

import re

_URI = "urn:shctl:host:1"
_ELEMENT = re.compile(rf'<(?:[\w-]+:)?host\b([^<>]*\bxmlns(?::[\w-]+)?="{_URI}"[^<>]*)>')
_INSTALL = re.compile(r'<(?:[\w-]+:)?install\b[^<>]*\bphase="(\w{1,20})"')
_ATTRIBUTE = re.compile(r'\b(\w+)="([^"]*)"')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_UUID = re.compile(r"<uuid>([0-9a-f-]{36})</uuid>")
_SOURCE = re.compile(r"<source [^<>]*?\bnetwork='([^']*)'")
_MAC = re.compile(r"<mac address='([^']*)'")
_TAG = re.compile(r"<tag id='(\d{1,4})'(?: nativeMode='(\w+)')?")
_GROUP = re.compile(r"<source [^<>]*?\bportgroup='([^']*)'")
_BRIDGE = re.compile(r"<bridge name='([^']*)'")
_PHASES = {"installing": "installing", "finishing": "installing", "installed": "installed",
           "failed": "failed"}  # fmt: skip
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", '"'), ("&amp;", "&"))


class Summary:
    """What a list shows of a host; `created` in RFC 3339, None for hosts of other programs.

    `interfaces` are a network, a port group and tags each; without tags, the network's apply.
    """

    __slots__ = ("created", "install", "interfaces", "macs", "managed")

    def __init__(self, text: str) -> None:
        start = max(text.find("<domain "), 0)
        head, _, devices = text[start:].partition("<devices>")
        self.created, self.install = None, None
        self.managed = bool(found := _metadata(head))
        if found:
            time = found.get("created", "")
            self.created = time if _TIME.fullmatch(time) else None
            self.install = found.get("install")
        parts = [part.partition("</interface>")[0] for part in devices.split("<interface ")[1:]]
        self.interfaces = tuple((_first(_SOURCE, part), _first(_GROUP, part), read_tags(part))
                                for part in parts)  # fmt: skip
        self.macs = tuple(match[1].lower() for part in parts if (match := _MAC.search(part)))


def read_uuid(text: str) -> str | None:
    """Return the UUID in a domain's XML, or in the file of a running one."""
    found = _UUID.search(text, max(text.find("<domain "), 0))
    return found[1] if found else None


def read_tags(text: str) -> tuple[int | None, tuple[int, ...]]:
    """Return the access or native tag and the trunk's other tags.

    `text` is an interface, or the XML of a network without port groups.
    """
    found = [(int(number), mode) for number, mode in _TAG.findall(text)]
    if len(found) == 1 and "trunk='yes'" not in text:
        return found[0][0], ()
    native = next((number for number, mode in found if mode), None)
    return native, tuple(sorted(number for number, _ in found if number != native))


def read_bridge(text: str) -> str | None:
    """Return the bridge in a network's XML."""
    return _first(_BRIDGE, text)


def _metadata(head: str) -> dict[str, str] | None:
    """Return the attributes of shctl's element, with the phase of the installation."""
    found = _ELEMENT.search(head) if _URI in head else None
    if not found:
        return None
    values = dict(_ATTRIBUTE.findall(found[1]))
    # Metadata with another UUID was copied.
    if values.get("uuid", uuid := read_uuid(head)) != uuid:
        return None
    install = _INSTALL.search(head, found.end())
    phase = _PHASES.get(install[1]) if install else None
    return values | ({"install": phase} if phase else {})


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return _unescaped(found[1]) if found else None


def _unescaped(text: str) -> str:
    for entity, character in _ENTITIES if "&" in text else ():
        text = text.replace(entity, character)
    return text
