"""The user that must own QEMU's files, if libvirt does not change their owner itself.

libvirt does, unless qemu.conf has dynamic_ownership = 0, which shared storage may need.
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
    """Return the user to whom shctl must give QEMU's files, None if libvirt does that.

    Raise Conflict if libvirt does not, and does not report the user.
    """
    # The file first: libvirt takes 25 ms for its capabilities.
    if hypervisor.simulated or _libvirt_changes_owners():
        return None
    if numbers := read_qemu_user(hypervisor.capabilities()):
        return Owner(*numbers)
    raise Conflict(
        f"{paths.qemu_conf()} says dynamic_ownership = 0, and libvirt does not report QEMU's user;"
        " set dynamic_ownership = 1, or user and group"
    )


def _libvirt_changes_owners() -> bool:
    """Return whether libvirt changes the owners of files; False if that is not certain."""
    try:
        with paths.qemu_conf().open("rb") as stream:
            return is_dynamic(stream.read(_MAX_CONF))
    except FileNotFoundError:
        return True
    except OSError:
        return False


def is_dynamic(conf: bytes) -> bool:
    """Return the value of dynamic_ownership in a qemu.conf; the last line counts."""
    values = _SETTING.findall(conf)
    return not values or int(values[-1]) != 0
