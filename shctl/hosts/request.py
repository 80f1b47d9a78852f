"""The request for a new host: the only thing that a frontend passes to a creation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shctl.storage.volumes import DEFAULT_POOL

if TYPE_CHECKING:
    from shctl.install import media


@dataclass(frozen=True)
class Request:
    """What a new host is to be; `memory` in MiB, `disks` in GiB.

    `virt_type` is auto, kvm or qemu; `firmware` is bios or uefi. A host that is to be installed
    starts by itself; `start` None leaves it to that.
    """

    name: str
    memory: int
    disks: tuple[int, ...]
    networks: tuple[str, ...]
    cpus: int = 1
    pool: str = DEFAULT_POOL
    firmware: str = "bios"
    virt_type: str = "auto"
    autostart: bool = False
    start: bool | None = None
    if_not_exists: bool = False
    overcommit: bool = False
    install: media.InstallOptions | None = None
