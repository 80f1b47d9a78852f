"""Read what the plan of a creation depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shctl.common import clock
from shctl.common.model import HostDetail
from shctl.common.states import Phase
from shctl.hosts import capacity, details, power
from shctl.hosts.capacity import Memory
from shctl.hosts.request import Request
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.inventory import Inventory, read_inventory
from shctl.xml.metadata import Installation

if TYPE_CHECKING:
    from shctl.install.media import Media


@dataclass(frozen=True)
class CreationState:
    """What the plan of a creation depends on besides the request.

    `existing` is a complete host of the same name, read only if the request allows it; `memory` is
    None if the host need not fit; `uuid`, `now` and `installation` become part of the metadata.
    """

    inventory: Inventory
    existing: HostDetail | None
    memory: Memory | None
    has_kvm: bool
    uuid: str
    now: str
    installation: Installation | None


def read(hypervisor: Hypervisor, request: Request, media: Media | None = None) -> CreationState:
    """Read the state; raise Conflict for an incomplete host of the same name."""
    from uuid import uuid4  # takes 2 ms, which a list of hosts does without

    found = read_inventory(hypervisor)
    existing = None
    if request.name in found.domains:
        host = hypervisor.domain(request.name)
        power.check_complete(host)
        existing = details.detail(hypervisor, host) if request.if_not_exists else None
    return CreationState(
        inventory=found,
        existing=existing,
        memory=None
        if request.overcommit
        else capacity.read_memory(hypervisor, starts=request.starts),
        has_kvm=request.hardware.virt_type != "qemu" and hypervisor.has_kvm(),
        uuid=str(uuid4()),
        now=clock.now(),
        installation=_installation(request, media),
    )


def _installation(request: Request, media: Media | None) -> Installation | None:
    options = request.install
    if options is None:
        return None
    location = media.location if media else options.location
    return Installation(
        Phase.INSTALLING, clock.now(), clock.now(options.timeout), location,
        boot=clock.boot_id(), until=int(clock.uptime() + options.timeout),
    )  # fmt: skip
