"""Plan new values for a host: from what is wanted and its state to changes and steps; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from shctl.common.errors import Conflict, InvalidInput
from shctl.common.model import Change, Changed
from shctl.common.steps import Plan, Step
from shctl.hosts import capacity, nvram
from shctl.hosts.capacity import Memory
from shctl.hosts.change_state import HostState
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.pending import NEXT_START, NOW
from shctl.xml import boot, edits

SettingStep = Step[ChangeSteps]


@dataclass(frozen=True)
class Values:
    """What a host is to have, None for what stays as it is; `memory` in MiB."""

    memory: int | None = None
    cpus: int | None = None
    autostart: bool | None = None
    firmware: str | None = None
    virt_type: str | None = None

    @property
    def harmless(self) -> bool:
        """Return whether they concern libvirt alone, neither QEMU nor an installer."""
        return self == Values(autostart=self.autostart)


@dataclass(frozen=True)
class Machine:
    """What the plan depends on besides the host; `memory` is None if the host need not fit."""

    memory: Memory | None
    has_kvm: bool


@dataclass(frozen=True)
class _Stored:
    """A value for the stored definition, and the edit that makes it."""

    key: str
    value: int | str
    edit: edits.Edit

    @property
    def text(self) -> str:
        """Return it for people, such as "memory 512 MiB"."""
        return f"{self.key} {self.value}{' MiB' if self.key == 'memory' else ''}"


def plan_values(values: Values, state: HostState, machine: Machine) -> Plan[Changed, ChangeSteps]:
    """Return the changes and the steps to them, none for values that the host has already.

    Raise InvalidInput, Conflict or NoSpace for values that it cannot have.
    """
    stored = tuple(_stored(values, state, machine))
    plugged = _plugged(values, state)
    changes = {value.key: Change(value.key, value.value, NEXT_START) for value in stored}
    if plugged:
        changes["cpus"] = Change("cpus", values.cpus, NOW)
    if values.autostart not in (None, state.autostart):
        changes["autostart"] = Change("autostart", values.autostart, NOW)
    steps = _steps(values, state, stored, plugged)
    return Plan(Changed(state.name, tuple(changes.values())), tuple(steps))


def _stored(values: Values, state: HostState, machine: Machine) -> Iterator[_Stored]:
    """Yield what the stored definition lacks; it is what the next start uses."""
    obstacles, have = edits.find_obstacles(state.definition), state.stored
    if values.memory and {values.memory} != {have.memory, have.max_memory}:
        _check_simple(state, "memory", obstacles.memory)
        capacity.check_memory(state.name, values.memory, machine.memory, "change")
        yield _Stored("memory", values.memory, partial(edits.set_memory, mib=values.memory))
    if values.cpus and values.cpus != have.cpus:
        _check_simple(state, "cpus", obstacles.cpus)
        yield _Stored("cpus", values.cpus, partial(edits.set_cpus, number=values.cpus))
    if values.firmware and values.firmware != have.firmware:
        _check_simple(state, "firmware", obstacles.firmware or _own_variables(state))
        change = partial(edits.set_firmware, firmware=values.firmware)
        yield _Stored("firmware", values.firmware, change)
    kind = _virt_type(values, machine)
    if kind and kind != have.virt_type:
        yield _Stored("virt_type", kind, partial(edits.set_virt_type, kind=kind))


def _check_simple(state: HostState, key: str, obstacle: str | None) -> None:
    """Raise Conflict for a host in which more than one value would have to change."""
    if obstacle:
        raise Conflict(
            f"{key}: host {state.name!r} has {obstacle}, which shctl does not change; use"
            f" 'virsh edit {state.name}'",
            field=key,
        )


def _own_variables(state: HostState) -> str | None:
    path = boot.read_nvram(state.definition)
    is_own = path not in (None, nvram.default(state.name))
    return f"its UEFI variables in {path}" if is_own else None


def _virt_type(values: Values, machine: Machine) -> str | None:
    if values.virt_type == "auto":
        return "kvm" if machine.has_kvm else "qemu"
    if values.virt_type == "kvm" and not machine.has_kvm:
        text = "virt_type: KVM is not usable on this hypervisor; use auto or qemu"
        raise InvalidInput(text, field="virt_type")
    return values.virt_type


def _plugged(values: Values, state: HostState) -> bool:
    """Return whether processors can be added to the running host.

    They cannot be removed: that is up to the guest, which may never do it.
    """
    running = state.running
    wanted = values.cpus or 0
    return running is not None and running.cpus < wanted <= running.max_cpus


def _steps(
    values: Values, state: HostState, stored: tuple[_Stored, ...], plugged: bool
) -> Iterator[SettingStep]:
    name = state.name
    if stored:
        what = ", ".join(value.text for value in stored)
        edit = partial(edits.edited, changes=[value.edit for value in stored])
        yield Step(
            "define", f"definition of host {name}",
            f"Store for the next start of host {name!r}: {what}.",
            partial(ChangeSteps.store, edit=edit), ChangeSteps.restore,
        )  # fmt: skip
    if (autostart := values.autostart) not in (None, state.autostart):
        text = f"Have libvirt start host {name!r} whenever the hypervisor boots."
        yield Step(
            "autostart", f"autostart of host {name}",
            text if autostart else text.replace("Have libvirt start", "Have libvirt not start"),
            _setting_autostart(bool(autostart)), _setting_autostart(state.autostart),
        )  # fmt: skip
    # Last, since it cannot be undone.
    if plugged:
        text = f"Add processors to the running host {name!r}, up to {values.cpus}."
        number = values.cpus or 0
        yield Step(
            "plug", f"cpus of host {name}", text, partial(ChangeSteps.plug_cpus, number=number)
        )


def _setting_autostart(value: bool) -> Callable[[ChangeSteps], None]:
    return lambda change: change.host.set_autostart(value)
