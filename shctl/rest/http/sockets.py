"""The sockets that the server listens on: its own, or those that systemd hands over."""

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

DEFAULT_PATH = Path("/run/shctl/shctl.sock")
DEFAULT_PORT = 8420
GROUP = "shctl"
MODE = 0o660
_LAST_PORT = 65535
_FIRST = 3  # sd_listen_fds(3)
_NOTIFY_TIME = 0.05  # seconds


def open_unix(path: Path) -> Listener:
    """Listen on a Unix socket for root, and for the group shctl where there is one.

    A file that a dead server has left is replaced; raises Conflict when a server listens there.
    """
    make_directory(path.parent)
    with locks.hold("socket", str(path)):
        _remove_stale(path)
        listener = Listener(socket.AF_UNIX)
        try:
            listener.bind(str(path))
            # Nobody can connect before listen(), so the umask's moment does not matter.
            with suppress(KeyError):
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
        raise ShctlError(f"cannot look at {path}: {error.strerror or error}") from error
    if not stat.S_ISSOCK(mode):
        raise Conflict(f"{path} is no socket; it is left alone")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise Conflict(f"a server listens on {path} already; stop that one, or use --socket")


def open_tcp(listen: str) -> list[Listener]:
    """Listen on HOST:PORT or HOST, on each of its addresses; an IPv6 one stands in brackets."""
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
            listeners.append(_bound(family, address))
        except OSError as error:
            # localhost is ::1 as well, even on a machine that has no such address.
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
            absent = error
    if absent and not listeners:
        raise absent
    return listeners


def _bound(family: int, address: Any) -> Listener:
    listener = Listener(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen()
    return listener


def split(listen: str) -> tuple[str, int]:
    """Return host and port; raise InvalidInput."""
    host, colon, port = listen.rpartition(":")
    if not colon or (listen.startswith("[") and listen.endswith("]")):
        host, port = listen, str(DEFAULT_PORT)
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or not port.isascii() or not port.isdecimal() or int(port) > _LAST_PORT:
        raise InvalidInput(f"listen: {listen!r} is not of the form HOST:PORT", field="listen")
    return bare, int(port)


def is_loopback(listener: socket.socket) -> bool:
    """Tell whether a TCP socket takes connections of this machine alone."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def from_systemd() -> list[Listener]:
    """Return the sockets that systemd has opened for this process."""
    meant = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    number = int(os.environ.pop("LISTEN_FDS", "0") or 0) if meant else 0
    os.environ.pop("LISTEN_FDNAMES", None)
    return [_adopt(descriptor) for descriptor in range(_FIRST, _FIRST + number)]


def _adopt(descriptor: int) -> Listener:
    os.set_inheritable(descriptor, False)
    # What kind it is, the socket itself says.
    return Listener(-1, -1, -1, descriptor)


def notify(state: str) -> None:
    """Tell systemd a state such as READY=1, where it wants to know; see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        # OSError also where there is no descriptor left: the next heartbeat may have one.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # The event loop calls this, and a full queue is no reason to stand still.
            channel.settimeout(_NOTIFY_TIME)
            # A leading @ stands for the abstract name space.
            channel.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            channel.sendall(state.encode())


def watchdog() -> float:
    """Return in how many seconds systemd's watchdog wants to hear of us, 0 where there is none.

    See sd_watchdog_enabled(3).
    """
    wanted = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(wanted) / 1e6 if meant and wanted.isdecimal() else 0
