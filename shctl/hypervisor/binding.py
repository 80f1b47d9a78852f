"""The one importer of libvirt: its error codes become our errors, and its events are taken in."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import libvirt as api

from shctl.common import calls
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

EVENT_PAUSE = 0.02  # seconds
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
# What a lost or unwilling daemon looks like, when the RPC layer says it.
_LOST = {api.VIR_ERR_SYSTEM_ERROR, api.VIR_ERR_INTERNAL_ERROR, api.VIR_ERR_RPC}

_NOT_READABLE = ("qemu-system", "Permission denied")  # what QEMU says of a file
# What a file system says that cannot hold a volume, or a file of its size.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_MEMORY = "Cannot allocate memory"  # what QEMU says of a guest's own
_FULL_WORDS = ("No space left", "File too large", "Disk quota exceeded", _NO_MEMORY)

_SWITCH_DEAD = "to OVS bridge"  # what it could not add a port to


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn libvirt's errors inside the block into ours, with what was being done in front."""
    try:
        yield
    except api.libvirtError as error:
        raise _meaning(error)(f"{what}: {_message(error)}") from error


def receive(connection: Any, begin: Callable[[Any], object]) -> bytes:
    """Return all that comes by a stream of libvirt's, once `begin` has been called with it."""
    stream = connection.newStream()
    data = bytearray()
    try:
        begin(stream)
        while piece := stream.recv(2**16):
            data += piece
        stream.finish()
    except BaseException:
        # libvirtd would keep its end open as long as the connection lasts.
        with suppress(api.libvirtError):
            stream.abort()
        raise
    return bytes(data)


def _meaning(error: api.libvirtError) -> type[ShctlError]:
    code = error.get_error_code()
    if error.get_error_domain() == api.VIR_FROM_RPC and code in _LOST:
        return Unreachable
    # libvirt calls it an internal error; a bridge that is missing fails before, in other words.
    if _SWITCH_DEAD in str(error):
        return Unreachable
    if error.get_int1() in _FULL or any(words in str(error) for words in _FULL_WORDS):
        return NoSpace
    if all(words in str(error) for words in _NOT_READABLE):
        return Conflict
    taken = any(words in str(error) for words in ("already exists", "Active console session"))
    if code == api.VIR_ERR_OPERATION_FAILED and taken:
        return Conflict
    return _MEANINGS.get(code, ShctlError)


def _message(error: api.libvirtError) -> str:
    text = error.get_error_message() or str(error)
    if all(words in text for words in _NOT_READABLE):
        return f"{text}; check the file's owner, dynamic_ownership in qemu.conf, and AppArmor's log"
    if _NO_MEMORY in text:
        return f"{text}; stop other hosts, or give this one less memory"
    if _meaning(error) is not Unreachable:
        return str(text)
    if _SWITCH_DEAD in text:
        return f"{text}; is ovs-vswitchd running ('systemctl status openvswitch-switch')?"
    return f"{text}; is libvirtd running, and may you use it (root, or the group libvirt)?"


def _run_event_loop() -> None:
    while True:
        try:
            api.virEventRunDefaultImpl()
        except Exception:
            # Nobody would look after keepalive any longer, and calls to a hung daemon never ended.
            import logging

            logging.getLogger("libvirt").exception("an event of libvirt could not be handled")
            time.sleep(EVENT_FAILED)
        # While it waits in there, each call of another thread wakes it, and the two compete for
        # the interpreter: that doubles what the call takes. Events can bear the delay.
        time.sleep(EVENT_PAUSE)


@cache
def prepare() -> None:
    """Silence libvirt's own messages and run its event loop, without which keepalive does nothing.

    Keepalive is the only thing that ends a call to a daemon that hangs.
    """
    if calls.is_logged("shctl.hypervisor"):
        from shctl.hypervisor.call_log import LoggedModule

        api.libvirtmod = LoggedModule(api.libvirtmod)
    api.registerErrorHandler(lambda *_: None, None)
    api.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_event_loop, name="libvirt-events", daemon=True).start()
