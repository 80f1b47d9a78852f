"""Delete hosts with the disks and files that they own, and nothing else."""

from shctl.common import locks, names
from shctl.common.errors import NotFound, ShctlError, Unreachable
from shctl.common.model import DeletionPlan, Outcome, PlannedStep
from shctl.common.steps import Step, run
from shctl.hosts.deletion_plan import Deletion, Removal, plan_deletion
from shctl.hosts.deletion_state import read_state
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.definitions import Definitions
from shctl.hypervisor.domain import Domain
from shctl.networks.choice import switch_of
from shctl.storage.usage import DiskUsage
from shctl.xml import domain


def delete(hypervisor: Hypervisor, name: str, *, if_exists: bool = False) -> Outcome:
    """Delete one host; see BulkDeletion.delete."""
    return BulkDeletion(hypervisor).delete(name, if_exists=if_exists)


def finish(hypervisor: Hypervisor, name: str) -> None:
    """Delete what is left of a host whose creation or deletion was interrupted.

    A host that has become complete since the caller checked is kept.
    """
    with locks.hold("host", name):
        host = hypervisor.domain(name)
        if is_interrupted(host):
            BulkDeletion(hypervisor).delete_locked(host)


class BulkDeletion:
    """Deletions of one command, which share what is read of all hosts.

    Each host is planned from its own XML, read under its lock. What other hosts use is read once
    for several, and again once it is older than a reading of all takes: no lock keeps it from
    changing.
    """

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self._usage = DiskUsage(hypervisor, Definitions(hypervisor))

    def plan(self, name: str, *, if_exists: bool = False) -> Deletion | None:
        """Return what a deletion would do now, None for nothing; raise why it would be refused."""
        self._hypervisor.check_writable()
        host = self._find(name, if_exists=if_exists)
        return None if host is None else self._plan(host)

    def describe(self, name: str, *, if_exists: bool = False) -> DeletionPlan:
        """Return the plan of a deletion as data, without steps where there is nothing to delete."""
        plan = self.plan(name, if_exists=if_exists)
        if plan is None:
            return DeletionPlan(name, (), ())
        steps = (PlannedStep(step.action, step.target, step.description) for step in plan.steps)
        return DeletionPlan(name, tuple(steps), plan.kept)

    def delete(self, name: str, *, if_exists: bool = False) -> Outcome:
        """Delete a host in any state, with the disks that it owns.

        Raises NotFound, and Conflict if shctl does not manage the host or another one uses its
        disks.
        """
        self._hypervisor.check_writable()
        with locks.hold("host", name):
            host = self._find(name, if_exists=if_exists)
            if host is None:
                return Outcome(name, "does not exist")
            kept = self.delete_locked(host)
        return Outcome(name, "deleted", kept)

    def _find(self, name: str, *, if_exists: bool) -> Domain | None:
        try:
            return self._hypervisor.domain(name)
        except NotFound:
            if if_exists:
                return None
            raise

    def _plan(self, host: Domain) -> Deletion:
        plan = plan_deletion(read_state(self._hypervisor, host, self._usage))
        if plan.running:
            # Its ports can only be removed once it is off, which must not fail then.
            switch_of(self._hypervisor).check()
        return plan

    def delete_locked(self, host: Domain) -> tuple[str, ...]:
        """Delete a host whose lock is held; return the paths of the files that are kept."""
        plan = self._plan(host)
        removal = Removal(self._hypervisor, host, self._usage.definitions)
        run(plan.before, removal)
        _remove_disks(plan, removal)
        run(plan.after, removal)
        _check_gone(self._hypervisor, host)
        return tuple(file.path for file in plan.kept)


def _remove_disks(plan: Deletion, removal: Removal) -> None:
    """Remove all disks that can be removed; raise ShctlError, which keeps the host, for others."""
    failures = []
    for step in plan.disks:
        if failure := _remove_disk(step, removal):
            failures.append(failure)
    if failures:
        raise ShctlError(
            f"host {plan.name!r} is kept, because it owns disks that could not be removed:"
            f" {'; '.join(failures)}; check their permissions, mount options and attributes"
            f" ('lsattr'), then run 'shctl hosts delete {plan.name}' again"
        )


def _remove_disk(step: Step[Removal], removal: Removal) -> str | None:
    """Remove a disk; return what failed, None for success."""
    try:
        run([step], removal)
    except Unreachable:
        raise
    except (ShctlError, OSError) as error:
        return f"{step.target} ({error})"
    return None


def _check_gone(hypervisor: Hypervisor, host: Domain) -> None:
    found = hypervisor.find_domain(host.name)
    if found and found.uuid == host.uuid:
        raise ShctlError(
            f"host {host.name!r} is still defined after its deletion; another program may have"
            f" defined it again: run 'shctl hosts delete {host.name}' again"
        )


def is_interrupted(host: Domain) -> bool:
    """Return whether a host of shctl's is incomplete, which is normal while its lock is held."""
    info = domain.read(host.xml(stored=True))
    data = info.metadata
    # shctl makes no transient hosts.
    if data is None or data.complete or not host.persistent or _runs_complete(host):
        return False
    if data.uuid:
        return True
    # Old metadata has no UUID. A copy has it too, but not the original's name and disks.
    prefix = names.volume(host.name, "sd")
    is_own = all(volume.name.startswith(prefix) for volume in data.volumes)
    listed = bool(data.volumes or data.paths)
    return listed and is_own and {row.path for row in info.disks} >= {*data.paths}


def _runs_complete(host: Domain) -> bool:
    """Return whether a host runs that was complete when it started.

    Another program may have stored XML that it read while the host was being created.
    """
    if not host.active:
        return False
    if host.hung:
        return True  # reading its XML would wait for QEMU; assume the safe answer
    data = domain.read(host.xml()).metadata
    return data is not None and data.complete
