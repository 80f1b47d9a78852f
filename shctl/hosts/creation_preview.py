"""Return the plan of a creation without running it."""

from __future__ import annotations

from shctl.common import names
from shctl.common.model import CreationPlan, PlannedDisk, PlannedInterface, PlannedStep
from shctl.hosts import creation
from shctl.hosts.request import Request
from shctl.hypervisor.connection import Hypervisor
from shctl.networks.choice import switch_of
from shctl.xml import network
from shctl.xml.domain import Spec
from shctl.xml.interfaces import LINK_UP


def preview(hypervisor: Hypervisor, request: Request) -> CreationPlan:
    """Return the plan of a creation; change nothing. Raises as create() does."""
    creation.validate(hypervisor, request)
    # A creation would find this out at the start, and roll back.
    if request.starts:
        switch_of(hypervisor).check()
    plan = creation.make_plan(hypervisor, request)
    planned = [PlannedStep(step.action, step.target, step.description) for step in plan.steps]
    # Not a step of the plan, which is made again under the locks, after the download.
    if plan.steps and request.install and request.install.location:
        from shctl.install import media

        location = media.check_location(
            request.install, request.predefined_values, request.hardware.memory
        )
        text = (
            f"Download the installer's kernel and initrd from {location}, unless they are cached."
        )
        planned.insert(0, PlannedStep("download", location, text))
    # A host that is kept is started without a plan.
    if request.start and not plan.steps:
        text = f"Start host {request.name!r} unless it is running."
        planned.append(PlannedStep("start", f"host {request.name}", text))
    return CreationPlan(
        request.name, tuple(planned), _disks(plan.target, request), _interfaces(hypervisor, request)
    )


def _disks(target: Spec, request: Request) -> tuple[PlannedDisk, ...]:
    return tuple(
        PlannedDisk(names.disk_target(index), size, volume.pool, volume.name)
        for index, (size, volume) in enumerate(
            zip(request.disks, target.metadata.volumes, strict=True)
        )
    )


def _interfaces(hypervisor: Hypervisor, request: Request) -> tuple[PlannedInterface, ...]:
    tags = {
        name: network.read_tags(hypervisor.network(name).xml(), None) for name in request.networks
    }
    return tuple(
        PlannedInterface(name, names.mac(request.name, index), *tags[name], index, LINK_UP)
        for index, name in enumerate(request.networks)
    )
