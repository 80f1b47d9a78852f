"""What the server does all the time: bring installations to their end, and show that it lives."""

import asyncio
import logging
import threading

from shctl.common.errors import ShctlError
from shctl.hosts import installation
from shctl.hypervisor.connection import Hypervisor
from shctl.rest.http import sockets

LOOK = 5.0  # seconds between looks at installations that are under way
REST = 60.0  # seconds between looks while there are none
_log = logging.getLogger("supervision")


def supervise(hypervisor: Hypervisor) -> None:
    """Bring every installation to its end, in a thread of its own."""
    changed = threading.Event()
    hypervisor.watch(changed.set)
    threading.Thread(
        target=_supervise_forever, args=(hypervisor, changed), name="supervision", daemon=True
    ).start()


def _supervise_forever(hypervisor: Hypervisor, changed: threading.Event) -> None:
    while True:
        changed.clear()
        changed.wait(LOOK if _look(hypervisor) else REST)


def _look(hypervisor: Hypervisor) -> bool:
    """Look at all installations; return whether to look again soon.

    Nothing that goes wrong here ends the thread: nobody would bring installations to their end.
    """
    try:
        return bool(installation.advance_all(hypervisor, _failed))
    except ShctlError as error:  # libvirt is away; the next look finds what has happened
        _log.warning("cannot look at installations: %s", error.detail)
    except BaseException:
        _log.exception("cannot look at installations")
    return True


def _failed(name: str, error: Exception) -> None:
    unexpected = not isinstance(error, ShctlError)
    text = "the installation of host %r does not go on: %s"
    _log.warning(text, name, error, exc_info=error if unexpected else None)


async def beat() -> None:
    """Tell systemd's watchdog, twice as often as it wants, that the event loop is not stuck."""
    if wanted := sockets.watchdog():
        while True:
            sockets.notify("WATCHDOG=1")
            await asyncio.sleep(wanted / 2)
