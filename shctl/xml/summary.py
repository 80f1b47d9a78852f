"""Read what a list of hosts shows from libvirt's XML, with regular expressions.

Parsing the XML of 1,000 hosts would take as long as all the rest of the list together, and lxml's
import as long as a third of it. libvirt writes attributes of its own in single quotes; libxml2
writes those of metadata in double quotes. What is read here is only shown.
"""

import re

from shctl.common.rows import Install

_URI = "urn:shctl:host:1"
_HOST = re.compile(r"<((?:[\w-]+:)?host)\b([^<>]*)>")
_NAMESPACE = re.compile(rf'\bxmlns(?::[\w-]+)?="{_URI}"')
_INSTALL = re.compile(r"<(?:[\w-]+:)?install\b([^<>]*)>")
_ATTRIBUTE = re.compile(r'\b(\w+)="([^"]*)"')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_UUID = re.compile(r"<uuid>([0-9a-f-]{36})</uuid>")
_MEMORY = re.compile(r"<memory unit='KiB'>(\d{1,18})<")
_CURRENT_MEMORY = re.compile(r"<currentMemory unit='KiB'>(\d{1,18})<")
_VCPU = re.compile(r"<vcpu\b[^<>]*?(?: current='(\d{1,9})')?>(\d{1,9})<")
_SOURCE = re.compile(r"<source [^<>]*?\bnetwork='([^']*)'")
_SOURCE_BRIDGE = re.compile(r"<source [^<>]*?\bbridge='([^']*)'")
_MAC = re.compile(r"<mac address='([^']*)'")
_TAG = re.compile(r"<tag id='(\d{1,4})'(?: nativeMode='(\w+)')?")
_GROUP = re.compile(r"<source [^<>]*?\bportgroup='([^']*)'")
_BRIDGE = re.compile(r"<bridge name='([^']*)'")
_LONGEST = 4096  # characters of a text in metadata, as shctl.xml.metadata reads it
_PHASES = {"installing": "installing", "finishing": "installing", "installed": "installed"}
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", '"'), ("&amp;", "&"))


class Summary:
    """What a list shows of a host; `created` in RFC 3339, None for hosts of other programs.

    `memory` in MiB. `complete` is False while shctl creates or deletes it. `interfaces` are a
    network, a port group and tags each; without tags, the network's apply.
    """

    __slots__ = (
        "_parts", "complete", "cpus", "created", "install", "interfaces", "macs", "managed",
        "memory",
    )  # fmt: skip

    def __init__(self, text: str) -> None:
        start = max(text.find("<domain "), 0)
        # Metadata may have any elements and comments. libvirt escapes all texts after them.
        end = max(text.rfind("</metadata>"), start)
        hardware, _, devices = text[end:].partition("<devices>")
        self.memory = _memory(hardware)
        self.cpus = _cpus(hardware)
        found, self.install = _metadata(text[start:end])
        self.managed = found is not None
        self.complete = (found or {}).get("complete") != "no"
        time = (found or {}).get("created", "")
        self.created = time if _TIME.fullmatch(time) else None
        parts = [part.partition("</interface>")[0] for part in devices.split("<interface ")[1:]]
        self._parts = parts
        self.interfaces = tuple((_first(_SOURCE, part), _first(_GROUP, part), read_tags(part))
                                for part in parts)  # fmt: skip
        self.macs = tuple(match[1].lower() for part in parts if (match := _MAC.search(part)))

    @property
    def bridges(self) -> tuple[str, ...]:
        """Return the bridges on which interfaces are without a network."""
        parts = zip(self._parts, self.interfaces, strict=True)
        found = (_first(_SOURCE_BRIDGE, part) for part, (network, _, _) in parts if not network)
        return tuple(bridge for bridge in dict.fromkeys(found) if bridge)


def without_metadata(text: str) -> str:
    """Return a domain's XML without what setMetadata changes, and without a comment before it."""
    text = text[max(text.find("<domain "), 0) :].strip()
    start, end = text.find("<metadata>"), text.rfind("</metadata>")
    return text[:start] + text[end:] if 0 <= start < end else text


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


def _memory(text: str) -> int | None:
    """Return the current memory in MiB."""
    found = _CURRENT_MEMORY.search(text) or _MEMORY.search(text)
    return int(found[1]) // 1024 if found else None


def _cpus(text: str) -> int | None:
    found = _VCPU.search(text)
    return int(found[1] or found[2]) if found else None


def _metadata(text: str) -> tuple[dict[str, str] | None, Install | None]:
    """Return the attributes of shctl's element, and the installation."""
    elements = _HOST.finditer(text) if _URI in text else ()
    element = next((each for each in elements if _NAMESPACE.search(each[2])), None)
    if not element:
        return None, None
    values = _attributes(element[2])
    # Metadata with another UUID was copied.
    if values.get("uuid", uuid := read_uuid(text)) != uuid:
        return None, None
    end = text.find(f"</{element[1]}>", element.end())
    install = _INSTALL.search(text, element.end(), max(end, element.end()))
    return values, _install(_attributes(install[1])) if install else None


def _install(values: dict[str, str]) -> Install:
    times = {key: value for key, value in values.items() if _TIME.fullmatch(value)}
    return Install(
        phase=_PHASES.get(values.get("phase", ""), "failed"),
        reason=values.get("reason"),
        started=times.get("started", ""),
        deadline=times.get("deadline", ""),
        ended=times.get("ended"),
        location=values.get("location"),
    )


def _attributes(text: str) -> dict[str, str]:
    return {key: _unescaped(value)[:_LONGEST] for key, value in _ATTRIBUTE.findall(text)}


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return _unescaped(found[1]) if found else None


def _unescaped(text: str) -> str:
    for entity, character in _ENTITIES if "&" in text else ():
        text = text.replace(entity, character)
    return text
