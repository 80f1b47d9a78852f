"""Plan the creation of a host: from a request and the state to a target and steps; no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from shctl.common import defaults, names, paths
from shctl.common.errors import Conflict, InvalidInput
from shctl.common.steps import Plan, Step
from shctl.hosts import capacity, conflicts, console_log
from shctl.hosts.creation_state import CreationState
from shctl.hosts.creation_steps import CreationSteps
from shctl.hosts.request import Request
from shctl.hypervisor.connection import not_found
from shctl.hypervisor.inventory import Inventory
from shctl.storage import volumes
from shctl.xml.domain import Spec
from shctl.xml.metadata import Metadata, OwnedVolume

CreationStep = Step[CreationSteps]


def plan_creation(request: Request, state: CreationState) -> Plan[Spec, CreationSteps]:
    """Return the target of a creation and its steps, none if the host exists and is kept.

    Raise InvalidInput, Conflict or NoSpace for what can be known without changing anything.
    """
    _check_networks(request, state.inventory)
    target = _target(request, state)
    if request.name in state.inventory.domains:
        _check_kept(request, state)
        return Plan(target, ())
    capacity.check_memory(request.name, request.hardware.memory, state.memory)
    return Plan(target, tuple(_steps(request, state, target)))


def _check_networks(request: Request, inventory: Inventory) -> None:
    for name in request.networks:
        if name not in inventory.networks:
            error = not_found("network", name, inventory.networks)
            raise InvalidInput(f"networks: {error}", field="networks")
        if not inventory.networks[name]:
            raise InvalidInput(
                f"networks: network {name!r} is inactive; start it with 'virsh net-start {name}'",
                field="networks",
            )


def _check_kept(request: Request, state: CreationState) -> None:
    if not (request.if_not_exists and state.existing):
        raise Conflict(
            f"host {request.name!r} already exists; delete it with"
            f" 'shctl hosts delete {request.name}', or use --if-not-exists to keep it"
        )
    conflicts.check_same(state.existing, request)


def _target(request: Request, state: CreationState) -> Spec:
    """Return the host without its disks.

    Its metadata lists the volumes before they exist, so that an interrupted creation loses none,
    and has the UUID, so that a copy of the domain gives no right to them.
    """
    owned = [OwnedVolume(request.pool, name) for name in _volumes(request)]
    return Spec(
        name=request.name,
        hardware=replace(request.hardware, virt_type=_virt_type(request, state)),
        networks=request.networks,
        disks=(),
        console=str(console_log.log_path(request.name)),
        metadata=Metadata(
            created=state.now,
            complete=False,
            volumes=tuple(owned),
            install=state.installation,
            uuid=state.uuid,
        ),
        uuid=state.uuid,
    )


def _volumes(request: Request) -> list[str]:
    return [
        names.volume(request.name, names.disk_target(index)) for index in range(len(request.disks))
    ]


def _virt_type(request: Request, state: CreationState) -> str:
    chosen = request.hardware.virt_type
    if chosen == "kvm" and not state.has_kvm:
        raise InvalidInput(
            "virt_type: KVM is not usable on this hypervisor; use auto or qemu", field="virt_type"
        )
    if chosen == "auto":
        return "kvm" if state.has_kvm else "qemu"
    return chosen


def _steps(request: Request, state: CreationState, target: Spec) -> Iterator[CreationStep]:
    name = request.name
    yield from _pool_steps(request.pool, state.inventory)
    # Defined first: libvirt lets only one domain have the name.
    yield Step(
        "define", f"host {name}", f"Define host {name!r}, which reserves its name.",
        CreationSteps.reserve, CreationSteps.withdraw,
    )  # fmt: skip
    for volume, size in zip(_volumes(request), request.disks, strict=True):
        yield Step(
            "create", f"volume {volume} in pool {request.pool}",
            f"Create volume {volume!r} of {size} GiB in pool {request.pool!r}.",
            partial(CreationSteps.create_volume, name=volume, size=size),
            partial(CreationSteps.delete_volume, name=volume),
        )  # fmt: skip
    yield Step(
        "create", f"log {target.console}", f"Create the console log {target.console}.",
        CreationSteps.create_log, CreationSteps.remove_log,
    )  # fmt: skip
    yield Step(
        "define", f"host {name}", f"Define host {name!r} with its disks.", CreationSteps.define
    )
    if request.autostart:
        text = f"Have libvirt start host {name!r} whenever the hypervisor boots."
        yield Step("autostart", f"host {name}", text, CreationSteps.set_autostart)
    yield from _start_steps(request)
    # Last: until then, `doctor` and `hosts delete` treat the creation as interrupted.
    text = f"Mark host {name!r} as complete."
    yield Step("complete", f"host {name}", text, CreationSteps.complete)


def _pool_steps(name: str, inventory: Inventory) -> Iterator[CreationStep]:
    """Yield the step that makes the pool active; only the default one is created or started."""
    if inventory.pools.get(name):
        return
    if name != defaults.POOL and name in inventory.pools:
        raise volumes.inactive_pool(name)
    if name != defaults.POOL:
        error = not_found("pool", name, inventory.pools)
        raise InvalidInput(f"pool: {error}; list all with 'virsh pool-list --all'", field="pool")
    action = "start" if name in inventory.pools else "create"
    text = f"{action.capitalize()} pool {name!r} in {paths.volumes()}."
    yield Step(action, f"pool {name}", text, CreationSteps.open_pool)


def _start_steps(request: Request) -> Iterator[CreationStep]:
    name = request.name
    if request.install and request.install.location:
        yield Step(
            "create", f"boot files of {name}",
            f"Copy the installer's kernel and initrd for host {name!r}.",
            CreationSteps.stage, CreationSteps.remove_boot_files,
        )  # fmt: skip
    if request.starts:
        what = f"the installer of host {name!r}" if request.install else f"host {name!r}"
        yield Step(
            "start",
            f"running host {name}",
            f"Start {what}.",
            CreationSteps.start,
            CreationSteps.power_off,
        )
