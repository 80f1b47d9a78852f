"""Run the server: serve on what is open, reload and stop in good order."""

import asyncio
import gc
import logging
import os
import signal
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click
from hypercorn.asyncio import serve

from shctl.common.errors import ShctlError
from shctl.rest import access_log, background, logs
from shctl.rest.access import Gate
from shctl.rest.http import hypercorn_fixes, listeners, sockets
from shctl.rest.http.bodies import Bodies
from shctl.rest.http.listeners import Listening, Options
from shctl.rest.http.threads import Threads
from shctl.rest.middleware import Edge, Flights
from shctl.rest.runner import Core
from shctl.server import Server

THREADS = 512  # more than the commands that may be under way, see Core
DRAIN = 8.0  # seconds for requests in flight once the server is to stop
LAST = 0.5  # seconds more, in which the last bytes leave
GARBAGE = 5_000  # objects that may come up before a look for garbage
TURN = 0.001  # seconds for which a thread may hold the interpreter while others wait for it
# What clients bring about whenever they like.
_COMMON = (ConnectionError, TimeoutError, ssl.SSLError)


def run(root: click.Context, uri: str, options: Options) -> None:
    """Serve until SIGTERM or SIGINT comes.

    Raises InvalidInput for files and addresses that cannot be used.
    """
    listeners.check_files(options)
    opened = listeners.open_all(options)
    logs.start()
    sound = False
    try:
        sound = _run(Core(root, uri), opened, options.names)
    except BaseException:
        logging.getLogger("server").exception("the server cannot go on")
    for listener in opened:
        listener.remove()
    logging.shutdown()
    # Python's own way out waits for threads that may hang in libvirt.
    os._exit(0 if sound else 1)


def _run(core: Core, opened: Sequence[Listening], names: tuple[str, ...]) -> bool:
    """Serve until the end; return whether that was asked for, not a listener's failure."""
    background.supervise(core.hypervisor)
    hypercorn_fixes.install()
    _tune()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_log_failure)
    # Not asyncio.run, which waits for those threads as well.
    sound = loop.run_until_complete(_serve(core, opened, names))
    access_log.abandon(core.exchanges)
    return sound


def _tune() -> None:
    """Set Python up for a process that stays; the command line has done so for a short one."""
    # What start-up made stays, so it is not looked through again. What requests leave is looked
    # for before it has grown to 10 MB, as it would by the command line's threshold.
    gc.freeze()
    gc.set_threshold(GARBAGE)
    # A thread that works holds up the event loop for this long at each of its many short calls.
    sys.setswitchinterval(TURN)


def _log_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if not isinstance(error, _COMMON):
        logging.getLogger("loop").error("%s", context["message"], exc_info=error)


async def _serve(core: Core, opened: Sequence[Listening], names: tuple[str, ...]) -> bool:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(Threads(THREADS))
    stop: Any = asyncio.Event()
    flights, shared = Flights(), Bodies()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, opened)

    def application(config: Listening) -> Any:
        server = Server(core, Gate(trusted=config.unix, names=names))
        return Edge(server, shared, flights, unix=config.unix)

    # One gate for each listener: who may come in depends on where they come in.
    running = [
        asyncio.create_task(serve(application(config), config, shutdown_trigger=stop.wait))
        for config in opened
    ]
    sockets.notify("READY=1")
    alive = asyncio.create_task(background.beat())
    await asyncio.wait([*running, asyncio.create_task(stop.wait())], return_when="FIRST_COMPLETED")
    sockets.notify("STOPPING=1")
    stop.set()
    sound = await _drain(running, flights)
    alive.cancel()
    return sound


def _reload(opened: Sequence[Listening]) -> None:
    """Read the TLS files again, for connections to come."""
    log = logging.getLogger("server")
    try:
        number = sum(listener.reload() for listener in opened)
    except (OSError, ssl.SSLError, ShctlError) as error:
        text = "cannot use the TLS files; those that were read before stay in use: %s"
        log.log(logging.ERROR, text, error)
    else:
        log.info("reloaded: the TLS files of %d listeners", number)


async def _drain(running: list[asyncio.Task[None]], flights: Flights) -> bool:
    """Wait for the requests in flight, but not for idle connections, which Hypercorn waits for."""
    with suppress(TimeoutError):
        await asyncio.wait_for(flights.landed.wait(), DRAIN)
    flights.over.set_result(None)
    await asyncio.wait(running, timeout=LAST)
    done = [task for task in running if task.done() and not task.cancelled()]
    failures = [error for error in (task.exception() for task in done) if error]
    for error in failures:
        logging.getLogger("server").error("a listener failed", exc_info=error)
    return not failures
