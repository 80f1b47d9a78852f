"""Fixes for Hypercorn: connections and requests that it does not end, and HTTP/2 rapid reset.

Hypercorn 0.13, Debian 12's, leaves both open; newer versions close them themselves, and those
fixes change nothing for them. No version limits a client that opens streams only to reset them
(CVE-2023-44487).
"""

import asyncio
import time
from typing import Any

from h2.errors import ErrorCodes
from h2.events import Event, StreamReset
from hypercorn import protocol
from hypercorn.asyncio import run, tcp_server
from hypercorn.events import Closed
from hypercorn.protocol.h2 import H2Protocol

# Streams that a client may reset, and one more for each second of its connection.
_MAX_RESETS = 100
_CHUNK = 4096  # bytes; their frames take about 20 ms to handle, then other connections have a turn


class _H2Protocol(H2Protocol):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._start = time.monotonic()
        self._resets = 0

    @property
    def excessive(self) -> bool:
        """Whether the client has reset too many streams."""
        return self._resets > _MAX_RESETS + time.monotonic() - self._start

    async def _handle_events(self, events: list[Event]) -> None:
        self._resets += sum(isinstance(event, StreamReset) for event in events)
        if self.excessive:
            self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
        else:
            await super()._handle_events(events)


class _Reader:
    """Reads a client's bytes in small chunks, and stops after too many stream resets."""

    def __init__(self, server: "_Server", reader: asyncio.StreamReader) -> None:
        self._server = server
        self._reader = reader

    def at_eof(self) -> bool:
        """Return whether there is nothing more to read."""
        version = self._server.protocol.protocol
        excessive = isinstance(version, _H2Protocol) and version.excessive
        return excessive or self._reader.at_eof()

    async def read(self, limit: int) -> bytes:
        """Return at most `limit` bytes, after other connections had a turn."""
        await asyncio.sleep(0)
        return await self._reader.read(min(limit, _CHUNK))


class _Server(tcp_server.TCPServer):
    async def _read_data(self) -> None:
        self.reader: Any = _Reader(self, self.reader)
        await super()._read_data()
        # Otherwise nothing ends the streams of a client that has disconnected: an HTTP/2
        # connection whose client reads only the header of a 204 stays until garbage collection.
        # Not for HTTP/1.1, whose client may close its sending half and still wait.
        if isinstance(self.protocol.protocol, H2Protocol):
            await self.protocol.handle(Closed())

    async def _stop_keep_alive_timeout(self) -> None:
        older: Any = super()  # newer versions have no such method, and call none
        await older._stop_keep_alive_timeout()
        # Otherwise the timeout is never started again, and a connection that had one request may
        # stay idle without limit.
        self._keep_alive_timeout_handle: Any = None


def install() -> None:
    """Replace Hypercorn's classes."""
    vars(run)["TCPServer"] = _Server
    vars(protocol)["H2Protocol"] = _H2Protocol
