"""What Hypercorn 0.13, Debian 12's, leaves out at the end of a connection or a request.

Newer versions end both by themselves, and that part changes nothing for them. None of them
stops a client that opens streams only to reset them (CVE-2023-44487).
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

# A client may reset this many streams, and one more for each second of its connection.
_RESETS = 100
_PART = 4096  # bytes; what they hold is handled in about 20 ms, then others have their turn


class _H2Protocol(H2Protocol):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._start = time.monotonic()
        self._resets = 0

    @property
    def excessive(self) -> bool:
        """Whether the client has reset more streams than it may."""
        return self._resets > _RESETS + time.monotonic() - self._start

    async def _handle_events(self, events: list[Event]) -> None:
        self._resets += sum(isinstance(event, StreamReset) for event in events)
        if self.excessive:
            self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
        else:
            await super()._handle_events(events)


class _Reader:
    """A client's bytes in small parts; they end early when the client resets too many streams."""

    def __init__(self, server: "_Server", reader: asyncio.StreamReader) -> None:
        self._server = server
        self._reader = reader

    def at_eof(self) -> bool:
        """Return whether there is nothing more to read."""
        version = self._server.protocol.protocol
        excessive = isinstance(version, _H2Protocol) and version.excessive
        return excessive or self._reader.at_eof()

    async def read(self, most: int) -> bytes:
        """Return at most so many bytes, after other connections had a turn."""
        await asyncio.sleep(0)
        return await self._reader.read(min(most, _PART))


class _Server(tcp_server.TCPServer):
    async def _read_data(self) -> None:
        self.reader: Any = _Reader(self, self.reader)
        await super()._read_data()
        # Without this nobody ends what waits for a client that has left: an HTTP/2 connection
        # whose client is content with a 204's header stays until it is taken for garbage. An
        # HTTP/1.1 client may close its half and still wait for the answer.
        if isinstance(self.protocol.protocol, H2Protocol):
            await self.protocol.handle(Closed())

    async def _stop_keep_alive_timeout(self) -> None:
        older: Any = super()  # newer versions have no such method, and call none
        await older._stop_keep_alive_timeout()
        # Else it starts no second time, and a connection that had one request may idle for ever.
        self._keep_alive_timeout_handle: Any = None


def install() -> None:
    """Have Hypercorn use it."""
    vars(run)["TCPServer"] = _Server
    vars(protocol)["H2Protocol"] = _H2Protocol
