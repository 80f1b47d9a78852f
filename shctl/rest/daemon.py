"""Run the server: open its listeners, serve, reload on SIGHUP, stop on SIGTERM."""

import asyncio
import gc
import logging
import os
import signal
import ssl
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import click
from hypercorn.asyncio import serve

from shctl.common.errors import ShctlError
from shctl.rest import access_log, background, logs
from shctl.rest.access import Authenticator
from shctl.rest.http import hypercorn_fixes, listeners, sockets
from shctl.rest.http.bodies import BodyReader
from shctl.rest.http.listeners import ListenerConfig, Options
from shctl.rest.http.threads import RequestThreads
from shctl.rest.middleware import Application, InFlightRequests, WsgiMiddleware
from shctl.rest.runner import CommandRunner
from shctl.rest.streaming import Followers

THREADS = 512  # more than the commands that may run or wait, see CommandRunner
DRAIN_TIMEOUT = 8.0  # seconds in which requests may end after SIGTERM
CLOSE_TIMEOUT = 0.5  # seconds more, in which the last responses are sent
GC_THRESHOLD = 5_000  # allocations before the garbage collector runs
SWITCH_INTERVAL = 0.001  # seconds
# shctl.server.Server, which imports this module.
ApplicationFactory = Callable[[CommandRunner, Authenticator], Application]
Applications = Mapping[ListenerConfig, Application]
# Clients cause these whenever they disconnect; they are not logged.
_CLIENT_ERRORS = (ConnectionError, TimeoutError, ssl.SSLError)


def run(root: click.Context, uri: str, options: Options, factory: ApplicationFactory) -> None:
    """Serve until SIGTERM or SIGINT comes.

    Raises InvalidInput for files and addresses that cannot be used.
    """
    listeners.check_files(options)
    configs = listeners.open_all(options)
    logs.start()
    clean = False
    try:
        commands = CommandRunner(root, uri)
        # One for each listener, because clients of a Unix socket need no token.
        applications = {
            config: factory(commands, Authenticator(trusted=config.unix, names=options.names))
            for config in configs
        }
        clean = _run(commands, applications)
    except BaseException:
        logging.getLogger("server").exception("the server is stopping because of an error")
    for config in configs:
        config.remove_socket()
    logging.shutdown()
    # sys.exit would wait for threads, which may hang in libvirt.
    os._exit(0 if clean else 1)


def _run(commands: CommandRunner, applications: Applications) -> bool:
    """Serve until a signal or a failure; return whether it was a signal."""
    background.start_supervision(commands.hypervisor)
    hypercorn_fixes.install()
    _tune_interpreter()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_log_error)
    # asyncio.run would wait for the threads of requests as well.
    clean = loop.run_until_complete(_serve(applications))
    access_log.log_aborted(commands.in_flight)
    return clean


def _tune_interpreter() -> None:
    """Set Python up for a long-running process; the command line tuned it for a short one."""
    # Objects from start-up stay, so the collector skips them. The command line's threshold would
    # let garbage from requests grow to 10 MB.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    # A shorter GIL switch interval lowers the event loop's latency while a command computes.
    sys.setswitchinterval(SWITCH_INTERVAL)


def _log_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if not isinstance(error, _CLIENT_ERRORS):
        logging.getLogger("loop").error("%s", context["message"], exc_info=error)


async def _serve(applications: Applications) -> bool:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(RequestThreads(THREADS))
    stop: Any = asyncio.Event()
    in_flight, reader, followers = InFlightRequests(), BodyReader(), Followers()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, list(applications))

    def start(config: ListenerConfig, application: Application) -> "asyncio.Task[None]":
        # Any, because Hypercorn's types for messages are narrower than ASGI's dictionaries.
        middleware: Any = WsgiMiddleware(
            application, reader, in_flight, followers, unix=config.unix
        )
        return asyncio.create_task(serve(middleware, config, shutdown_trigger=stop.wait))

    running = [start(config, application) for config, application in applications.items()]
    stopped = asyncio.create_task(stop.wait())
    sockets.notify("READY=1")
    heartbeats = asyncio.create_task(background.send_heartbeats())
    await asyncio.wait([*running, stopped], return_when="FIRST_COMPLETED")
    sockets.notify("STOPPING=1")
    stop.set()
    followers.stop()
    clean = await _drain(running, in_flight)
    heartbeats.cancel()
    return clean


def _reload(configs: Iterable[ListenerConfig]) -> None:
    """Read the TLS files again, for new connections."""
    log = logging.getLogger("server")
    try:
        number = sum(config.reload() for config in configs)
    except (OSError, ssl.SSLError, ShctlError) as error:
        text = "cannot use the new TLS files, so the previous ones stay in use: %s"
        log.log(logging.ERROR, text, error)
    else:
        log.info("reloaded the TLS files of %d listeners", number)


async def _drain(running: list[asyncio.Task[None]], in_flight: InFlightRequests) -> bool:
    """Wait for requests in flight, then for the listeners; return whether none failed.

    Hypercorn would also wait for idle connections, so the second wait is short.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(in_flight.idle.wait(), DRAIN_TIMEOUT)
    in_flight.abort.set_result(None)
    await asyncio.wait(running, timeout=CLOSE_TIMEOUT)
    done = [task for task in running if task.done() and not task.cancelled()]
    failures = [error for error in (task.exception() for task in done) if error]
    for error in failures:
        logging.getLogger("server").error("a listener failed", exc_info=error)
    return not failures
