"""Words for the states of domains and for the reasons of these states, as virsh has them."""

from shctl.hypervisor.binding import api

# By virDomainState.
_STATES = (
    "no state", "running", "idle", "paused", "in shutdown", "shut off", "crashed", "pmsuspended",
)  # fmt: skip

# By the enumeration of reasons that each state has; 0 is unknown in all of them.
_REASONS: dict[int, tuple[str, ...]] = {
    api.VIR_DOMAIN_RUNNING: (
        "booted", "migrated", "restored", "from snapshot", "unpaused", "migration canceled",
        "save canceled", "event wakeup", "crashed", "post-copy", "post-copy failed",
    ),
    api.VIR_DOMAIN_PAUSED: (
        "user", "migrating", "saving", "dumping", "I/O error", "watchdog", "from snapshot",
        "shutting down", "creating snapshot", "crashed", "starting up", "post-copy",
        "post-copy failed", "API error",
    ),
    api.VIR_DOMAIN_SHUTDOWN: ("user",),
    api.VIR_DOMAIN_SHUTOFF: (
        "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot",
        "daemon",
    ),
    api.VIR_DOMAIN_CRASHED: ("panicked",),
}  # fmt: skip

IO_ERROR = "I/O error"


def state_word(state: int, reason: int) -> str:
    """Return the word for a state."""
    # A QEMU that was killed leaves "shut off" with the reason "crashed".
    if state == api.VIR_DOMAIN_SHUTOFF and reason == api.VIR_DOMAIN_SHUTOFF_CRASHED:
        return "crashed"
    return _STATES[state]


def reason_word(state: int, reason: int) -> str | None:
    """Return the words for a state's reason, None for one that is unknown."""
    words = _REASONS.get(state, ())
    return words[reason - 1] if 0 < reason <= len(words) else None
