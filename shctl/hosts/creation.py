"""Create hosts, completely or not at all: validate the request, plan, apply.

The modules that install are imported where they are used: a host without an installation is
created 14 ms sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from shctl.common import locks, names, steps
from shctl.common.errors import InvalidInput
from shctl.common.model import HostDetail
from shctl.common.steps import Plan
from shctl.hosts import conflicts, creation_state, details, power
from shctl.hosts.creation_plan import plan_creation
from shctl.hosts.creation_steps import CreationSteps
from shctl.hosts.request import Request
from shctl.hypervisor.connection import Hypervisor
from shctl.storage import volumes
from shctl.xml.domain import Spec

if TYPE_CHECKING:
    from shctl.install.media import Media, Progress


def create(
    hypervisor: Hypervisor,
    request: Request,
    progress: Progress,
    keep: Callable[[], object] = lambda: None,
) -> HostDetail:
    """Create a host, start its installation if requested, and return it.

    `keep` is called when the host already exists and is kept.
    Raises Conflict when its name is taken, InvalidInput for a network or pool that does not
    exist, NoSpace when the pool is full or the memory too small, InstallFailed when the tree cannot
    be fetched. After any failure nothing of the host is left.
    """
    validate(hypervisor, request)
    # Without a download and a host to keep, the plan under the locks is the first one.
    early = request.install or request.if_not_exists
    if early and not make_plan(hypervisor, request).steps:
        keep()
        if request.start:
            power.start(hypervisor, request.name)
        return details.detail(hypervisor, hypervisor.domain(request.name))
    with _media(request, progress) as media, _locks(hypervisor, request):
        plan = make_plan(hypervisor, request, media)
        if plan.steps:
            creation = CreationSteps(hypervisor, plan.target, request.pool, media)
            steps.run(plan.steps, creation)
            return details.detail(hypervisor, creation.host)
        keep()
        host = hypervisor.domain(request.name)
        if request.start:
            power.ensure_on(hypervisor, host)
        return details.detail(hypervisor, host)


def validate(hypervisor: Hypervisor, request: Request) -> None:
    """Raise the error for a request that no state of the hypervisor could satisfy."""
    names.check_host(request.name)
    hypervisor.check_writable()
    if request.install:
        from shctl.install import media

        media.check(request.install)
        if request.start is False:
            raise InvalidInput("start: an installation starts the host", field="start")


def make_plan(
    hypervisor: Hypervisor, request: Request, media: Media | None = None
) -> Plan[Spec, CreationSteps]:
    """Read the state and plan; raise Conflict, too, for volumes and files in the way."""
    state = creation_state.read(hypervisor, request, media)
    plan = plan_creation(request, state)
    if plan.steps:
        _check_pool(hypervisor, plan.target, request.pool, state.inventory.pools)
        conflicts.check_files_free(hypervisor, plan.target)
    return plan


def _check_pool(hypervisor: Hypervisor, target: Spec, name: str, pools: Mapping[str, bool]) -> None:
    if pools.get(name):
        conflicts.check_volumes_free(hypervisor, hypervisor.pool(name), target.metadata)
    else:
        volumes.check_default_pool(hypervisor, exists=name in pools)


@contextmanager
def _media(request: Request, progress: Progress) -> Iterator[Media | None]:
    """Yield the media of the installation; a download takes time, so it precedes the locks."""
    if request.install is None:
        yield None
        return
    from shctl.install import media

    values, memory = request.predefined_values, request.hardware.memory
    with media.borrow(request.install, values, memory, progress) as borrowed:
        yield borrowed


@contextmanager
def _locks(hypervisor: Hypervisor, request: Request) -> Iterator[None]:
    # A name that is taken is reported without waiting for its lock.
    plan_early = partial(make_plan, hypervisor, request)
    with ExitStack() as held:
        held.enter_context(locks.hold("host", request.name, before_wait=plan_early))
        # Shared: hosts may be created on a network at the same time, but not while it is deleted.
        for name in sorted(set(request.networks)):
            held.enter_context(locks.hold("network", name, shared=True))
        yield
