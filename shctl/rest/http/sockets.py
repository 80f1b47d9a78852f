"""The server's listening sockets, which it opens or gets from systemd, and sd_notify(3)."""

import errno
import grp
import ipaddress
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from shctl.common import locks
from shctl.common.atomic import make_directory
from shctl.common.errors import Conflict, InvalidInput, ShctlError
from shctl.rest.http.connections import Listener

DEFAULT_PORT = 8420
GROUP = "shctl"
MODE = 0o660
_LAST_PORT = 65535
_FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START, see sd_listen_fds(3)
_NOTIFY_TIMEOUT = 0.05  # seconds


def open_unix(path: Path) -> Listener:
    """Listen on a Unix socket for root, and for the group shctl if it exists.

    Replaces the file of a server that has ended; raises Conflict when one listens there.
    """
    make_directory(path.parent)
    with locks.hold("socket", str(path)):
        _remove_stale(path)
        listener = Listener(socket.AF_UNIX)
        try:
            listener.bind(str(path))
            # No client can connect before listen(), so the mode that umask left is harmless.
            with suppress(KeyError):  # there is no such group
                os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
            path.chmod(MODE)
        except OSError as error:
            listener.close()
            raise ShctlError(f"cannot listen on {path}: {error.strerror or error}") from error
        listener.listen()
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ShctlError(f"cannot read the status of {path}: {error.strerror or error}") from error
    if not stat.S_ISSOCK(mode):
        raise Conflict(f"{path} exists and is not a socket; remove it, or use --socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise Conflict(f"a server already listens on {path}; stop that one, or use --socket")


def open_tcp(listen: str) -> list[Listener]:
    """Listen on all addresses of HOST or HOST:PORT; an IPv6 address needs brackets."""
    host, port = split(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return _listen({(family, address) for family, _, _, _, address in found})
    except OSError as error:
        text = f"listen: cannot listen on {listen}: {error.strerror or error}"
        raise InvalidInput(text, field="listen") from error


def _listen(addresses: Iterable[tuple[int, Any]]) -> list[Listener]:
    listeners, absent = [], None
    for family, address in addresses:
        try:
            listeners.append(_open(family, address))
        except OSError as error:
            # localhost also resolves to ::1 on machines without IPv6.
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
            absent = error
    if absent and not listeners:
        raise absent
    return listeners


def _open(family: int, address: Any) -> Listener:
    listener = Listener(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen()
    return listener


def split(listen: str) -> tuple[str, int]:
    """Return the host and the port of a --listen value; raise InvalidInput."""
    host, colon, port = listen.rpartition(":")
    if not colon or (listen.startswith("[") and listen.endswith("]")):
        host, port = listen, str(DEFAULT_PORT)
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or not port.isascii() or not port.isdecimal() or int(port) > _LAST_PORT:
        raise InvalidInput(f"listen: {listen!r} is not HOST or HOST:PORT", field="listen")
    return bare, int(port)


def is_loopback(listener: socket.socket) -> bool:
    """Return whether a TCP socket accepts connections from this machine only."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def from_systemd() -> list[Listener]:
    """Return the sockets that systemd opened for this process; see sd_listen_fds(3)."""
    # Removed from the environment, so that no child process takes them for its own.
    meant = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    number = int(os.environ.pop("LISTEN_FDS", "0") or 0) if meant else 0
    os.environ.pop("LISTEN_FDNAMES", None)
    return [
        _from_descriptor(descriptor)
        for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + number)
    ]


def _from_descriptor(descriptor: int) -> Listener:
    os.set_inheritable(descriptor, False)
    # -1: Python reads family, type and protocol from the descriptor.
    return Listener(-1, -1, -1, descriptor)


def notify(state: str) -> None:
    """Send a state such as READY=1 to systemd if it started this process; see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        # OSError also without a free descriptor: the next heartbeat may get one.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # This runs in the event loop, which must not wait for a full queue.
            channel.settimeout(_NOTIFY_TIMEOUT)
            # A leading @ means an abstract socket address, see unix(7).
            channel.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            channel.sendall(state.encode())


def watchdog_timeout() -> float:
    """Return the seconds of systemd's watchdog, 0 without one; see sd_watchdog_enabled(3)."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if meant and microseconds.isdecimal() else 0
