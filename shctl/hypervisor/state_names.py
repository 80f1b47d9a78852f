"""Map libvirt's numbers of states and reasons to virsh's words."""

from shctl.common.states import DomainState, Reason
from shctl.hypervisor.binding import api

_STATES: tuple[DomainState, ...] = tuple(DomainState)

# By the enumeration of reasons that each state has. Number 0, which all of them have, is "unknown"
# and left out here.
_REASONS: dict[int, tuple[str, ...]] = {
    api.VIR_DOMAIN_RUNNING: (
        "booted", "migrated", "restored", "from snapshot", "unpaused", "migration canceled",
        "save canceled", "event wakeup", Reason.CRASHED, "post-copy", Reason.POST_COPY_FAILED,
    ),
    api.VIR_DOMAIN_PAUSED: (
        "user", "migrating", "saving", "dumping", Reason.IO_ERROR, Reason.WATCHDOG,
        "from snapshot", "shutting down", "creating snapshot", Reason.CRASHED, "starting up",
        "post-copy", Reason.POST_COPY_FAILED, Reason.API_ERROR,
    ),
    api.VIR_DOMAIN_SHUTDOWN: ("user",),
    api.VIR_DOMAIN_SHUTOFF: (
        Reason.SHUTDOWN, Reason.DESTROYED, Reason.CRASHED, "migrated", "saved", Reason.FAILED,
        "from snapshot", "daemon",
    ),
    api.VIR_DOMAIN_CRASHED: (Reason.PANICKED,),
}  # fmt: skip


def domain_state(state: int, reason: int) -> DomainState:
    """Return a domain's state."""
    # A QEMU that was killed leaves "shut off" with the reason "crashed".
    if state == api.VIR_DOMAIN_SHUTOFF and reason == api.VIR_DOMAIN_SHUTOFF_CRASHED:
        return DomainState.CRASHED
    return _STATES[state]


def reason_name(state: int, reason: int) -> str | None:
    """Return virsh's word for a state's reason, None if it is unknown."""
    names = _REASONS.get(state, ())
    return names[reason - 1] if 0 < reason <= len(names) else None
