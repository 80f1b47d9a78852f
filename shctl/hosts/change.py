"""Change hosts, completely or not at all: lock, read, plan, apply.

What is changed is in the plan: a function from a host's state to a target and steps. It may read
more of the hypervisor, such as a pool; it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

from shctl.common import locks, steps
from shctl.common.errors import ShctlError
from shctl.common.model import ChangePlan, PlannedStep
from shctl.common.steps import Plan
from shctl.hosts import change_state, installation
from shctl.hosts.change_state import HostState
from shctl.hosts.change_steps import ChangeSteps
from shctl.hypervisor.connection import Hypervisor

T = TypeVar("T")
Planner = Callable[[HostState], Plan[T, ChangeSteps]]


def apply(
    hypervisor: Hypervisor,
    name: str,
    plan: Planner[T],
    *,
    networks: Iterable[str] = (),
    harmless: bool = False,
) -> T:
    """Change a host by a plan, and return the plan's target.

    `networks` are those that must not be deleted meanwhile; for `harmless` see change_state.read.
    After a failure the host is as it was. Raises NotFound, Conflict, or what planning raises.
    """
    hypervisor.check_writable()
    # Its installer may have ended without anybody having noticed.
    with suppress(ShctlError):
        installation.advance(hypervisor, name)
    with _locks(name, networks):
        state = change_state.read(hypervisor, name, harmless=harmless)
        made = plan(state)
        steps.run(made.steps, ChangeSteps(hypervisor, state))
    return made.target


def preview(
    hypervisor: Hypervisor, name: str, plan: Planner[T], *, harmless: bool = False
) -> ChangePlan:
    """Return the steps of a change; change nothing. Raises as apply() does."""
    hypervisor.check_writable()
    made = plan(change_state.read(hypervisor, name, harmless=harmless))
    planned = (PlannedStep(step.action, step.target, step.description) for step in made.steps)
    return ChangePlan(name, tuple(planned))


@contextmanager
def _locks(name: str, networks: Iterable[str]) -> Iterator[None]:
    # In the order of a creation: the host first.
    with ExitStack() as held:
        held.enter_context(locks.hold("host", name))
        for network in sorted(set(networks)):
            held.enter_context(locks.hold("network", network, shared=True))
        yield
