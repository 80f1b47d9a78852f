"""Find what interruptions, power cuts and other tools left behind; fix what shctl created."""

from contextlib import suppress
from dataclasses import replace

from shctl.common.errors import NotFound, ShctlError
from shctl.common.model import Finding
from shctl.doctor import files, hosts, interfaces, switch
from shctl.doctor.snapshot import Fix
from shctl.hypervisor.connection import Hypervisor

# Order matters: deleting an interrupted host also removes its volumes, ports and files.
_CHECKS = {
    "interrupted creations and deletions": hosts.interrupted,
    "interrupted changes of disks": hosts.interrupted_changes,
    "installations": hosts.unfinished_installations,
    "definitions of hosts being installed": hosts.redefined_installations,
    "stalled hosts": hosts.stalled,
    "pools": hosts.inactive_pools,
    "volumes of hosts": hosts.missing_volumes,
    "files of adopted hosts": hosts.lost_files,
    "volumes without a host": hosts.orphaned_volumes,
    "stale ports": switch.stale_ports,
    "possibly stale ports": switch.possibly_stale_ports,
    "ports of running hosts": switch.wrong_ports,
    "interfaces without a link": interfaces.without_link,
    "networks": switch.networks,
    "files without a host": files.orphaned_files,
    "file modes": files.wrong_modes,
    "leftovers in the cache": files.cache_leftovers,
    "cached files": files.changed_cache_files,
}


def examine(hypervisor: Hypervisor, *, fix: bool = False) -> list[Finding]:
    """Return the problems found; with `fix` also fix those that are shctl's to fix.

    A check that fails is a finding too. Raises ShctlError only if libvirt cannot be reached.
    """
    hypervisor.check_writable()
    hypervisor.active_uuids()
    found: list[Finding] = []
    for subject, check in _CHECKS.items():
        try:
            # Each check takes its own snapshot: an earlier fix may have solved later problems.
            for finding, apply in check(hypervisor):
                found.append(_fixed(finding, apply) if fix and apply else finding)
        except (ShctlError, OSError) as error:
            problem = f"this check failed: {error}"
            remedy = "solve that problem, then run 'shctl doctor' again"
            found.append(Finding("check", subject, problem, remedy))
    return found


def _fixed(finding: Finding, apply: Fix) -> Finding:
    try:
        with suppress(NotFound):  # another process removed it first
            apply()
    except (ShctlError, OSError) as error:
        return replace(finding, result=f"not fixed: {error}")
    return replace(finding, result="fixed")
