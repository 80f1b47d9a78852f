"""The server's background tasks: advance installations, and send heartbeats to systemd."""

import asyncio
import logging
import threading

from shctl.common.errors import ShctlError
from shctl.hosts import installation
from shctl.hypervisor.connection import Hypervisor
from shctl.rest.http import sockets

ACTIVE_INTERVAL = 5.0  # seconds between checks while installations are running
IDLE_INTERVAL = 60.0  # seconds between checks while there are none
_log = logging.getLogger("supervision")


def start_supervision(hypervisor: Hypervisor) -> None:
    """Start a thread that advances all installations until they end."""
    changed = threading.Event()
    # An event of libvirt, such as the end of a domain, starts the next check at once.
    hypervisor.watch(changed.set)
    threading.Thread(
        target=_supervise, args=(hypervisor, changed), name="supervision", daemon=True
    ).start()


def _supervise(hypervisor: Hypervisor, changed: threading.Event) -> None:
    while True:
        changed.clear()
        changed.wait(ACTIVE_INTERVAL if _advance_all(hypervisor) else IDLE_INTERVAL)


def _advance_all(hypervisor: Hypervisor) -> bool:
    """Advance all installations; return whether some are still running.

    No error ends the thread: without it, installations would stop until a restart.
    """
    try:
        return bool(installation.advance_all(hypervisor, _log_failure))
    except ShctlError as error:  # libvirt is away; the next check finds what has changed
        _log.warning("cannot check installations: %s", error.detail)
    except BaseException:
        _log.exception("cannot check installations")
    return True


def _log_failure(name: str, error: Exception) -> None:
    unexpected = not isinstance(error, ShctlError)
    text = "cannot advance the installation of host %r: %s"
    _log.warning(text, name, error, exc_info=error if unexpected else None)


async def send_heartbeats() -> None:
    """Show systemd's watchdog that the event loop runs, twice in each of its timeouts."""
    if timeout := sockets.watchdog_timeout():
        while True:
            sockets.notify("WATCHDOG=1")
            await asyncio.sleep(timeout / 2)
