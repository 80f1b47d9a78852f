"""Find what interruptions, power cuts and other tools left behind, and put right what is ours."""

from contextlib import suppress
from dataclasses import replace

from shctl.common.errors import NotFound, ShctlError
from shctl.common.model import Finding
from shctl.doctor import files, hosts, switch
from shctl.doctor.snapshot import Fix
from shctl.hypervisor.connection import Hypervisor

# The order matters: an interrupted creation takes its volumes, ports and files along.
_CHECKS = {
    "interrupted creations and deletions": hosts.interrupted,
    "installations": hosts.installs_open,
    "definitions of hosts that are installed": hosts.installs_redefined,
    "hosts that stand still": hosts.stuck,
    "pools": hosts.pools_inactive,
    "volumes of hosts": hosts.volumes_missing,
    "volumes without host": hosts.volumes_left,
    "stale ports": switch.stale_ports,
    "possibly stale ports": switch.possibly_stale_ports,
    "ports of running hosts": switch.wrong_ports,
    "networks": switch.networks,
    "files without host": files.files_left,
    "modes of files": files.modes_wrong,
    "leftovers in the cache": files.cache_left,
    "cached files": files.cache_changed,
}


def examine(hypervisor: Hypervisor, *, fix: bool = False) -> list[Finding]:
    """Return what is wrong; with `fix` put right what is ours and can be put right.

    What cannot be examined is a finding too; only without libvirt nothing can be said.
    """
    hypervisor.check_writable()
    hypervisor.active_uuids()
    found: list[Finding] = []
    for subject, check in _CHECKS.items():
        try:
            # Each check looks anew: mending one thing may have mended others.
            for finding, mend in check(hypervisor):
                found.append(_mended(finding, mend) if fix and mend else finding)
        except (ShctlError, OSError) as error:
            problem = f"they cannot be examined: {error}"
            found.append(Finding("check", subject, problem, "mend that, then look again"))
    return found


def _mended(finding: Finding, mend: Fix) -> Finding:
    try:
        with suppress(NotFound):  # somebody else was faster
            mend()
    except (ShctlError, OSError) as error:
        return replace(finding, result=f"not mended: {error}")
    return replace(finding, result="mended")
