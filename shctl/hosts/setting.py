"""Set a host's memory, processors, firmware, kind of virtualization and autostart."""

from __future__ import annotations

from shctl.common.errors import InvalidInput
from shctl.common.model import Changed, ChangePlan
from shctl.common.steps import Plan
from shctl.hosts import capacity, change, nvram
from shctl.hosts.change_state import HostState
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.setting_plan import Machine, Values, plan_values
from shctl.hypervisor.connection import Hypervisor


def set_values(
    hypervisor: Hypervisor, name: str, values: Values, *, overcommit: bool = False
) -> Changed:
    """Set values of a host, all or none, and return what changed, now or at its next start.

    Raises InvalidInput without any value, NotFound, NoSpace for too much memory, and Conflict for
    a host that cannot be changed now.
    """
    _check_any(values)
    planner = _planner(hypervisor, values, overcommit=overcommit)
    return change.apply(hypervisor, name, planner, harmless=values.harmless)


def preview(
    hypervisor: Hypervisor, name: str, values: Values, *, overcommit: bool = False
) -> ChangePlan:
    """Return the steps of set_values(); change nothing. Raises as it does."""
    _check_any(values)
    planner = _planner(hypervisor, values, overcommit=overcommit)
    return change.preview(hypervisor, name, planner, harmless=values.harmless)


def _check_any(values: Values) -> None:
    if values == Values():
        raise InvalidInput(
            "nothing to change: give --memory, --cpus, --autostart, --firmware or --virt-type"
        )


def _planner(
    hypervisor: Hypervisor, values: Values, *, overcommit: bool
) -> change.Planner[Changed]:
    def plan(state: HostState) -> Plan[Changed, ChangeSteps]:
        # On its own: which hosts run at the next start is unknown.
        memory = None if overcommit else capacity.read_memory(hypervisor, starts=False)
        asks_kvm = values.virt_type in ("auto", "kvm")
        made = plan_values(values, state, Machine(memory, asks_kvm and hypervisor.has_kvm()))
        if values.firmware == "uefi" and state.stored.firmware != "uefi":
            nvram.check_free(hypervisor, state.name, own=state.metadata.variables_left)
        return made

    return plan
