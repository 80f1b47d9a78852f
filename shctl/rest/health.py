"""Check whether libvirt and Open vSwitch respond."""

import threading
import time
from collections.abc import Callable

from shctl.common.errors import ShctlError, Unreachable
from shctl.common.timeout import run_with_timeout
from shctl.hypervisor.connection import Hypervisor
from shctl.networks.choice import switch_of

_TIMEOUT = 3.0  # seconds for each check
_MAX_AGE = 1.0  # seconds for which a result is reused, because /healthz needs no token


class Health:
    """The state of the services that the server depends on."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self._lock = threading.Lock()
        self._checked = float("-inf")
        self._result: dict[str, bool] = {}

    def check(self) -> dict[str, bool]:
        """Return whether each service responds, by its name; at most one check a second."""
        with self._lock:
            if time.monotonic() - self._checked > _MAX_AGE:
                self._result = {
                    "libvirt": _responds(self._hypervisor.active_uuids),
                    "openvswitch": _responds(switch_of(self._hypervisor).check),
                }
                self._checked = time.monotonic()
            return self._result


def _responds(call: Callable[[], object]) -> bool:
    try:
        run_with_timeout(_TIMEOUT, call, Unreachable("no response"))
    except ShctlError:
        return False
    return True
