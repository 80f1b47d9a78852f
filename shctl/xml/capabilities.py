"""Read libvirt's capabilities (https://libvirt.org/formatcaps.html); pure, no I/O."""

import re

from shctl.xml.parsing import parse

_LABEL = re.compile(r"\+([0-9]{1,10}):\+([0-9]{1,10})")


def read_qemu_user(capabilities: str) -> tuple[int, int] | None:
    """Return the numbers of QEMU's user and group, None if libvirt does not report them."""
    for model in parse(capabilities).iterfind("host/secmodel"):
        if model.findtext("model") == "dac":
            for label in model.iterfind("baselabel"):
                if found := _LABEL.fullmatch((label.text or "").strip()):
                    return int(found[1]), int(found[2])
    return None
