"""What Hypercorn 0.13, Debian 12's, leaves out at the end of a connection or a request.

Newer versions do both by themselves, and what is here changes nothing for them.
"""

from typing import Any

from hypercorn.asyncio import run, tcp_server
from hypercorn.events import Closed
from hypercorn.protocol.h2 import H2Protocol


class _Server(tcp_server.TCPServer):
    async def _read_data(self) -> None:
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
