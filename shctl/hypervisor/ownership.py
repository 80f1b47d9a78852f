"""Whom QEMU's files have to belong to, where libvirt does not see to that itself.

It does, unless qemu.conf says dynamic_ownership = 0, as shared storage may need it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shctl.common import paths
from shctl.common.errors import Conflict
from shctl.xml.capabilities import read_qemu_user

if TYPE_CHECKING:
    from shctl.hypervisor.connection import Hypervisor

_MAX_CONF = 1 << 20  # bytes
_SETTING = re.compile(rb"^[ \t]*dynamic_ownership[ \t]*=[ \t]*([0-9]{1,9})", re.MULTILINE)


@dataclass(frozen=True)
class Owner:
    """QEMU's user and group, as numbers."""

    user: int
    group: int


def qemu_owner(hypervisor: Hypervisor) -> Owner | None:
    """Return the user to whom shctl has to give QEMU's files; None where libvirt does it.

    Raise Conflict where libvirt does not, and does not say who the user is.
    """
    # Read first: the capabilities take libvirt 25 ms.
    if hypervisor.simulated or _libvirt_does_it():
        return None
    if numbers := read_qemu_user(hypervisor.capabilities()):
        return Owner(*numbers)
    raise Conflict(
        f"{paths.qemu_conf()} says dynamic_ownership = 0, and libvirt does not say which user QEMU"
        " runs as; set dynamic_ownership = 1, or user and group"
    )


def _libvirt_does_it() -> bool:
    """Tell whether libvirt gives files to QEMU's user; where that cannot be seen, it may not."""
    try:
        with paths.qemu_conf().open("rb") as stream:
            return is_dynamic(stream.read(_MAX_CONF))
    except FileNotFoundError:
        return True
    except OSError:
        return False


def is_dynamic(conf: bytes) -> bool:
    """Tell what a qemu.conf says; the last line about it holds."""
    said = _SETTING.findall(conf)
    return not said or int(said[-1]) != 0
