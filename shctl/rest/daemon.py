"""Run the server: open what it listens on, serve, and stop in good order."""

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from hypercorn.asyncio import serve
from hypercorn.config import Config, Sockets

from shctl import auth
from shctl.errors import InvalidInput, ShctlError
from shctl.hosts import supervision
from shctl.hypervisor import Hypervisor
from shctl.rest import journal, sockets
from shctl.rest.bodies import Bodies
from shctl.rest.core import Core
from shctl.rest.edge import Edge, Flights
from shctl.rest.gate import Gate
from shctl.rest.threads import Threads
from shctl.server import Server

THREADS = 512  # more than the commands that may be under way, see Core
DRAIN = 8.0  # seconds for requests in flight once the server is to stop
LAST = 0.5  # seconds more, in which the last bytes leave
LOOK = 5.0  # seconds between looks at installations that are under way
REST = 60.0  # seconds between looks while there are none
GARBAGE = 5_000  # objects that may come up before a look for garbage
TURN = 0.001  # seconds for which a thread may hold the interpreter while others wait for it


@dataclass(frozen=True)
class Options:
    """What to listen on; `names` are further names of this server."""

    listen: str | None = None
    socket: Path = sockets.DEFAULT_PATH
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    names: tuple[str, ...] = ()

    @property
    def tls(self) -> bool:
        """Tell whether there is a certificate."""
        return self.tls_cert is not None


class _Listener(Config):
    """Hypercorn's configuration for one socket that is open already."""

    # Clients of a Unix socket that do not fit in are turned away at once, not made to wait.
    backlog = 1024
    # An idle connection, and one that has not sent its whole header, is closed after this.
    keep_alive_timeout = 5.0
    ssl_handshake_timeout = 10.0
    graceful_timeout = 60.0  # long, so that it never comes before _drain is through
    include_server_header = False
    errorlog = logging.getLogger("hypercorn")

    def __init__(self, listener: socket.socket, options: Options, *, ours: bool) -> None:
        self.listener = listener
        self._ours = ours
        self._address = listener.getsockname()
        self.unix = listener.family == socket.AF_UNIX
        if options.tls and not self.unix:
            self.certfile, self.keyfile = str(options.tls_cert), str(options.tls_key)
            if options.client_ca:
                self.ca_certs = str(options.client_ca)
                self.verify_mode = ssl.CERT_REQUIRED

    def create_sockets(self) -> Sockets:
        """Return the open socket as Hypercorn wants it."""
        secure, insecure = ([self.listener], []) if self.ssl_enabled else ([], [self.listener])
        return Sockets(secure, insecure, [])

    def remove(self) -> None:
        """Remove the file of a Unix socket; systemd goes on listening on one of its own."""
        if self.unix and self._ours:
            Path(self._address).unlink(missing_ok=True)


def run(root: click.Context, uri: str, options: Options) -> None:
    """Serve until SIGTERM or SIGINT comes.

    Raises InvalidInput for files and addresses that cannot be used.
    """
    _check_files(options)
    listeners = _open(options)
    journal.start()
    core = Core(root, uri)
    _supervise(core.hypervisor)
    _tune()
    # Not asyncio.run, which waits for threads that may hang in libvirt.
    sound = asyncio.new_event_loop().run_until_complete(_serve(core, listeners, options.names))
    journal.abandon(core.exchanges)
    for listener in listeners:
        listener.remove()
    # Nor Python's own way out, which waits for them as well.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0 if sound else 1)


def _tune() -> None:
    """Set Python up for a process that stays; the command line has done so for a short one."""
    # What start-up made stays, so it is not looked through again. What requests leave is looked
    # for before it has grown to 10 MB, as it would by the command line's threshold.
    gc.freeze()
    gc.set_threshold(GARBAGE)
    # A thread that works holds up the event loop for this long at each of its many short calls.
    sys.setswitchinterval(TURN)


def _check_files(options: Options) -> None:
    if options.tls != (options.tls_key is not None):
        raise InvalidInput("--tls-cert and --tls-key go together")
    if options.client_ca and not options.tls:
        raise InvalidInput("--client-ca needs --tls-cert and --tls-key")
    if auth.PATH.exists():
        auth.check_private(auth.PATH)
    if options.tls_key:
        auth.check_private(options.tls_key)


def _open(options: Options) -> list[_Listener]:
    given = sockets.from_systemd()
    asked = sockets.open_tcp(options.listen) if options.listen else []
    listeners = [_Listener(one, options, ours=False) for one in (*given, *asked)]
    for listener in listeners:
        _check_tls(listener)
    if not given:
        # The last one, so that no refusal leaves its file.
        unix = sockets.open_unix(options.socket)
        listeners.append(_Listener(unix, options, ours=True))
    return listeners


def _check_tls(config: _Listener) -> None:
    if config.unix:
        return
    if not config.ssl_enabled and not sockets.is_loopback(config.listener):
        raise InvalidInput(
            "listen: other machines could read along; give --tls-cert and --tls-key, or listen"
            " on a loopback address",
            field="listen",
        )
    try:
        config.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"cannot use the TLS files: {error}") from error


async def _serve(core: Core, listeners: list[_Listener], names: tuple[str, ...]) -> bool:
    """Serve until the end; tell whether that was asked for, not a listener's failure."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(Threads(THREADS))
    stop: Any = asyncio.Event()
    flights, shared = Flights(), Bodies()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def application(config: _Listener) -> Any:
        server = Server(core, Gate(trusted=config.unix, names=names))
        return Edge(server, shared, flights, unix=config.unix)

    # One gate for each listener: who may come in depends on where they come in.
    running = [
        asyncio.create_task(serve(application(config), config, shutdown_trigger=stop.wait))
        for config in listeners
    ]
    sockets.notify("READY=1")
    await asyncio.wait([*running, asyncio.create_task(stop.wait())], return_when="FIRST_COMPLETED")
    sockets.notify("STOPPING=1")
    stop.set()
    return await _drain(running, flights)


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


def _supervise(hypervisor: Hypervisor) -> None:
    """Bring every installation to its end, in a thread of its own."""
    changed = threading.Event()
    hypervisor.watch(changed.set)
    threading.Thread(
        target=_supervise_forever, args=(hypervisor, changed), name="supervision", daemon=True
    ).start()


def _supervise_forever(hypervisor: Hypervisor, changed: threading.Event) -> None:
    while True:
        changed.clear()
        still = True
        with suppress(ShctlError):  # libvirt is away; the next look finds what has happened
            still = bool(supervision.settle_open(hypervisor))
        changed.wait(LOOK if still else REST)
