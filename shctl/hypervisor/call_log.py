"""Log every call of libvirt's Python binding.

The binding is generated: each of its methods calls one function of the extension module libvirtmod,
which its module imports by that name. Replacing that name logs all calls in one place.
"""

from collections.abc import Callable
from typing import Any

from shctl.common import debug_log

# These run in this process: they read the object, release it, or wait for events.
_LOCAL = ("Free", "GetName", "GetUUIDString", "GetConnect", "IsAlive", "GetLastError")
_EVENTS = "virEvent"
# How to get the name of an object, by the type of its capsule.
_NAMES = {
    "virDomainPtr": "virDomainGetName",
    "virNetworkPtr": "virNetworkGetName",
    "virStoragePoolPtr": "virStoragePoolGetName",
    "virStorageVolPtr": "virStorageVolGetName",
}
_MAX_ENTRIES = 5  # of a list that is logged as it is; virDomainGetInfo returns five numbers
_MAX_TEXT = 100  # characters of an argument or result


class LoggedModule:
    """The extension module, with each call logged."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._wrapped, name)
        if not callable(function) or name.endswith(_LOCAL) or name.startswith(_EVENTS):
            return function
        return lambda *arguments: self._call(name, function, arguments)

    def _call(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        described = (self._describe(argument) for argument in arguments)
        text = f"{name}({', '.join(filter(None, described))})"
        with debug_log.logged(__name__, text) as call:
            result = function(*arguments)
            call.result = self._error(result) or self._describe(result) or "ok"
        return result

    def _error(self, result: object) -> str | None:
        """Return libvirt's message if a result means an error."""
        if result is not None and result != -1:
            return None
        # A tuple of the code, the domain and the message; libvirt resets it before each call.
        error = self._wrapped.virGetLastError()
        return f"error: {error[2]}" if error else None

    def _describe(self, value: object) -> str:
        """Return a value as text; "" for what does not matter, such as the connection."""
        # XML may contain kernel arguments with passwords, and a stream what a guest wrote.
        if isinstance(value, bytes):
            return f"{len(value)} bytes"
        if isinstance(value, str):
            is_xml = value.lstrip().startswith("<")
            return f"XML of {len(value)} characters" if is_xml else repr(value)[:_MAX_TEXT]
        if isinstance(value, list | tuple):
            is_short = 0 < len(value) <= _MAX_ENTRIES
            return ", ".join(map(self._describe, value)) if is_short else f"{len(value)} entries"
        return repr(value)[:_MAX_TEXT] if isinstance(value, int | dict) else self._name(value)

    def _name(self, value: object) -> str:
        """Return the name of an object of libvirt; "" for anything else."""
        # As in <capsule object "virDomainPtr" at 0x7f...>
        _, _, kind = repr(value).partition('"')
        function = _NAMES.get(kind.partition('"')[0])
        return repr(getattr(self._wrapped, function)(value)) if function else ""
