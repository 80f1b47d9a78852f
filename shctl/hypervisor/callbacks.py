"""Translate libvirt's events into words: what happened to which domain or network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from shctl.hypervisor.binding import api
from shctl.hypervisor.shared_events import Callback, SharedEvents

# Without VIR_DOMAIN_EVENT_SHUTDOWN: "stopped" follows, when QEMU has ended.
_HOST = {
    api.VIR_DOMAIN_EVENT_STARTED: "started",
    api.VIR_DOMAIN_EVENT_SUSPENDED: "paused",
    api.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    api.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    api.VIR_DOMAIN_EVENT_PMSUSPENDED: "asleep",
    api.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}
_STOPS = {
    api.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: "shutdown",
    api.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: "powered off",
    api.VIR_DOMAIN_EVENT_STOPPED_CRASHED: "crashed",
    api.VIR_DOMAIN_EVENT_STOPPED_MIGRATED: "migrated",
    api.VIR_DOMAIN_EVENT_STOPPED_SAVED: "saved",
    api.VIR_DOMAIN_EVENT_STOPPED_FAILED: "failed",
}
_STARTS = {
    api.VIR_DOMAIN_EVENT_STARTED_RESTORED: "restored",
    api.VIR_DOMAIN_EVENT_STARTED_MIGRATED: "migrated",
    api.VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT: "from a snapshot",
}
_PAUSES = {
    api.VIR_DOMAIN_EVENT_SUSPENDED_IOERROR: "I/O error",
    api.VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG: "watchdog",
    api.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED: "migrating",
}
_DETAILS = {"stopped": _STOPS, "started": _STARTS, "paused": _PAUSES}
_NETWORK = {
    api.VIR_NETWORK_EVENT_DEFINED: "defined",
    api.VIR_NETWORK_EVENT_UNDEFINED: "undefined",
    api.VIR_NETWORK_EVENT_STARTED: "started",
    api.VIR_NETWORK_EVENT_STOPPED: "stopped",
}


@dataclass(frozen=True)
class Notice:
    """What libvirt says: `what` is "" if a domain's definition or metadata may have changed.

    `time` is when it said so, in seconds of the monotonic clock.
    """

    kind: str
    uuid: str
    name: str
    what: str = ""
    detail: str | None = None
    time: float = field(default_factory=monotonic)


def register(events: SharedEvents, act: Callable[[Notice], None]) -> list[Callable[[], object]]:
    """Call a function with each event of libvirt; return functions that end this.

    It is called in libvirt's event loop, so it must neither block nor call libvirt.
    """

    def lifecycle(_: Any, domain: Any, event: int, detail: int, __: Any) -> None:
        act(_of_host(domain, event, detail))

    def changed(_: Any, domain: Any, *__: Any) -> None:
        act(Notice("host", domain.UUIDString(), domain.name()))

    def network(_: Any, found: Any, event: int, __: int, ___: Any) -> None:
        if what := _NETWORK.get(event):
            act(Notice("network", found.UUIDString(), found.name(), what))

    hosts: dict[int, Callback] = {
        api.VIR_DOMAIN_EVENT_ID_LIFECYCLE: lifecycle,
        api.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE: changed,
        api.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED: changed,
        api.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: changed,
    }
    ends = [events.on_domain(kind, callback) for kind, callback in hosts.items()]
    return [*ends, events.on_network(api.VIR_NETWORK_EVENT_ID_LIFECYCLE, network)]


def _of_host(domain: Any, event: int, detail: int) -> Notice:
    what = _HOST.get(event, "")
    reason = _DETAILS.get(what, {}).get(detail)
    # To libvirt, a QEMU that was killed has stopped too.
    if what == "stopped" and detail in (
        api.VIR_DOMAIN_EVENT_STOPPED_CRASHED, api.VIR_DOMAIN_EVENT_STOPPED_FAILED,
    ):  # fmt: skip
        what, reason = "crashed", "QEMU ended"
    return Notice("host", domain.UUIDString(), domain.name(), what, reason)
