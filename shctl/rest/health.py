"""Tell whether libvirt and Open vSwitch answer."""

import threading
import time
from collections.abc import Callable

from shctl.common.errors import ShctlError, Unreachable
from shctl.common.timeout import within
from shctl.hypervisor.connection import Hypervisor
from shctl.networks import openvswitch

_LIMIT = 3.0  # seconds for each
_KEEP = 1.0  # seconds for which an answer holds, since everyone may ask


class Health:
    """The latest look at what the server depends on."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._seen: dict[str, bool] = {}

    def look(self) -> dict[str, bool]:
        """Return what answers, by name; looks at most once a second."""
        with self._lock:
            if time.monotonic() - self._looked > _KEEP:
                self._seen = {
                    "libvirt": _answers(self._hypervisor.active_uuids),
                    "openvswitch": self._hypervisor.simulated or _answers(openvswitch.bridges),
                }
                self._looked = time.monotonic()
            return self._seen


def _answers(ask: Callable[[], object]) -> bool:
    try:
        within(_LIMIT, ask, Unreachable("no answer"))
    except ShctlError:
        return False
    return True
