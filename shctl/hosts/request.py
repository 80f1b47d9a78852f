"""The request for a new host: the only thing that a frontend passes to a creation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shctl.common import names
from shctl.xml.domain import Hardware

if TYPE_CHECKING:
    from shctl.install.media import InstallOptions


@dataclass(frozen=True)
class Request:
    """A new host; `disks` in GiB.

    With `install` the host starts anyway; `start` is None unless the caller chose.
    """

    name: str
    hardware: Hardware
    disks: tuple[int, ...]
    networks: tuple[str, ...]
    pool: str
    autostart: bool = False
    start: bool | None = None
    if_not_exists: bool = False
    overcommit: bool = False
    install: InstallOptions | None = None

    @property
    def starts(self) -> bool:
        """Return whether the creation starts the host or its installer."""
        return bool(self.start or self.install)

    @property
    def predefined_values(self) -> dict[str, str]:
        """Return the values that answers may use without --value.

        DISK is the first disk by its WWN: which of several disks Linux calls sda is not defined.
        """
        wwn = names.wwn(self.name, names.disk_target(0))
        mac = names.mac(self.name, 0)
        return {"HOSTNAME": self.name, "MAC": mac, "DISK": f"/dev/disk/by-id/wwn-0x{wwn}"}
