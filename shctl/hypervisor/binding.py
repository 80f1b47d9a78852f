"""Import libvirt, translate its errors and run its event loop; no other module imports it."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import libvirt as api

from shctl.common import debug_log
from shctl.common.errors import (
    Conflict,
    InvalidInput,
    NoSpace,
    NotFound,
    ShctlError,
    TimedOut,
    Unreachable,
)

__all__ = ["api", "prepare", "receive", "translated"]

EVENT_PAUSE = 0.01  # seconds
EVENT_FAILED = 1.0  # seconds before the next try

_MEANINGS: dict[int, type[ShctlError]] = {
    api.VIR_ERR_NO_DOMAIN: NotFound,
    api.VIR_ERR_NO_NETWORK: NotFound,
    api.VIR_ERR_NO_STORAGE_POOL: NotFound,
    api.VIR_ERR_NO_STORAGE_VOL: NotFound,
    api.VIR_ERR_NO_DOMAIN_METADATA: NotFound,
    api.VIR_ERR_STORAGE_VOL_EXIST: Conflict,
    api.VIR_ERR_OPERATION_INVALID: Conflict,
    api.VIR_ERR_OPERATION_TIMEOUT: TimedOut,
    api.VIR_ERR_XML_ERROR: InvalidInput,
    api.VIR_ERR_XML_DETAIL: InvalidInput,
    api.VIR_ERR_INVALID_ARG: InvalidInput,
    api.VIR_ERR_CONFIG_UNSUPPORTED: InvalidInput,
    api.VIR_ERR_NO_CONNECT: Unreachable,
    api.VIR_ERR_AUTH_FAILED: Unreachable,
    api.VIR_ERR_AUTH_UNAVAILABLE: Unreachable,
    api.VIR_ERR_AUTH_CANCELLED: Unreachable,
}
# Codes that mean a lost connection if they come from the RPC layer.
_LOST = {api.VIR_ERR_SYSTEM_ERROR, api.VIR_ERR_INTERNAL_ERROR, api.VIR_ERR_RPC}

# In QEMU's messages about a file that it may not open, at its start and later.
_DENIED, _FROM_QEMU = "Permission denied", ("qemu-system", "QEMU command")
# Errors of a file system that is full, or too small for a file of this size.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_MEMORY = "Cannot allocate memory"  # in QEMU's message about a guest's memory
_FULL_TEXTS = ("No space left", "File too large", "Disk quota exceeded", _NO_MEMORY)

_SWITCH_DEAD = "to OVS bridge"  # libvirt could not add a port to it


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate libvirt's errors in the block into ShctlError; the message begins with `what`."""
    try:
        yield
    except api.libvirtError as error:
        raise _meaning(error)(f"{what}: {_message(error)}") from error


def receive(connection: Any, begin: Callable[[Any], object]) -> bytes:
    """Return everything that a stream receives; `begin` starts the transfer."""
    stream = connection.newStream()
    data = bytearray()
    try:
        begin(stream)
        while piece := stream.recv(2**16):
            data += piece
        stream.finish()
    except BaseException:
        # Otherwise libvirtd keeps its end open until the connection closes.
        with suppress(api.libvirtError):
            stream.abort()
        raise
    return bytes(data)


def _meaning(error: api.libvirtError) -> type[ShctlError]:
    code = error.get_error_code()
    if error.get_error_domain() == api.VIR_FROM_RPC and code in _LOST:
        return Unreachable
    # An internal error to libvirt. A missing bridge fails earlier, with another message.
    if _SWITCH_DEAD in str(error):
        return Unreachable
    if error.get_int1() in _FULL or any(text in str(error) for text in _FULL_TEXTS):
        return NoSpace
    if _is_denied(str(error)):
        return Conflict
    taken = any(text in str(error) for text in ("already exists", "Active console session"))
    if code == api.VIR_ERR_OPERATION_FAILED and taken:
        return Conflict
    return _MEANINGS.get(code, ShctlError)


def _is_denied(text: str) -> bool:
    return _DENIED in text and any(origin in text for origin in _FROM_QEMU)


def _message(error: api.libvirtError) -> str:
    text = error.get_error_message() or str(error)
    if _is_denied(text):
        return f"{text}; check the file's owner, dynamic_ownership in qemu.conf, and AppArmor's log"
    if _NO_MEMORY in text:
        return f"{text}; stop other hosts or give this one less memory"
    if _meaning(error) is not Unreachable:
        return str(text)
    if _SWITCH_DEAD in text:
        return f"{text}; is ovs-vswitchd running ('systemctl status openvswitch-switch')?"
    return f"{text}; is libvirtd running, and are you root or in the group libvirt?"


def _run_event_loop() -> None:
    while True:
        try:
            api.virEventRunDefaultImpl()
        except Exception:
            # Without this loop there is no keepalive, and calls to a hung daemon never end.
            import logging

            logging.getLogger("libvirt").exception("cannot handle an event of libvirt")
            time.sleep(EVENT_FAILED)
        # While this thread waits in libvirt, each call of another thread wakes it, and the two
        # compete for the GIL, which doubles the time of a call. Events may be late.
        time.sleep(EVENT_PAUSE)


@cache
def prepare() -> None:
    """Disable libvirt's own messages on stderr, and run its event loop, which keepalive needs.

    Without keepalive, a call to a daemon that hangs never ends.
    """
    api.registerErrorHandler(lambda *_: None, None)
    api.virEventRegisterDefaultImpl()
    if debug_log.is_logged("shctl.hypervisor"):
        from shctl.hypervisor.call_log import LoggedModule

        api.libvirtmod = LoggedModule(api.libvirtmod)
    threading.Thread(target=_run_event_loop, name="libvirt-events", daemon=True).start()
