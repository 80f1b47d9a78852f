"""Send responses that go on, in the event loop: a follower costs a connection, but no thread."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shctl.common.output import as_bytes, to_json
from shctl.common.rows import Event
from shctl.common.stream import Stream
from shctl.rest.exchange import Exchange
from shctl.rest.http import connections

HEARTBEAT = 15.0  # seconds without data after which proxies may close a connection
_CHECK = 1.0  # seconds between checks of the client and its token
Send = Callable[[bytes], Awaitable[None]]


class Followers:
    """The responses that go on; they end when the server stops."""

    def __init__(self) -> None:
        self._changed: set[asyncio.Event] = set()
        self.stopping = False

    def stop(self) -> None:
        """End all of them."""
        self.stopping = True
        for changed in self._changed:
            changed.set()

    async def follow(self, exchange: Exchange, stream: Stream[Any], send: Send) -> None:
        """Send what a stream has until it ends, its client leaves or its caller may not read it."""
        changed, loop = asyncio.Event(), asyncio.get_running_loop()
        self._changed.add(changed)
        end = stream.on_change(lambda: loop.call_soon_threadsafe(changed.set))
        try:
            await self._send_all(exchange, stream, changed, send)
        finally:
            self._changed.discard(changed)
            end()
            # take() may still run in its thread.
            await _in_thread(stream, stream.close)

    async def _send_all(
        self, exchange: Exchange, stream: Stream[Any], changed: asyncio.Event, send: Send
    ) -> None:
        loop = asyncio.get_running_loop()
        silent_since = loop.time()
        while not self.stopping and not connections.client_disconnected():
            # Before take(), so that what comes after it wakes this again.
            changed.clear()
            items = await _take(stream)
            if items is None or not exchange.is_allowed():
                return
            if items:
                await send(_encode(items))
            elif loop.time() > silent_since + HEARTBEAT:
                await send(_heartbeat(stream))
            else:
                await _wait(changed, stream.interval or _CHECK)
                continue
            silent_since = loop.time()


async def _take(stream: Stream[Any]) -> Sequence[Any] | None:
    found: Sequence[Any] | None = await _in_thread(stream, stream.take)
    return found


async def _in_thread(stream: Stream[Any], function: Callable[[], Any]) -> Any:
    """Call a function of a stream, in a thread if it may block."""
    if stream.blocks:
        return await asyncio.get_running_loop().run_in_executor(None, function)
    return function()


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    # The time limit is how a client that has left is noticed: HTTP/1.1 has no message for it.
    try:
        await asyncio.wait_for(changed.wait(), seconds)
    except TimeoutError:
        return


def _encode(items: Sequence[Any]) -> bytes:
    return b"".join(map(_event if isinstance(items[0], Event) else as_bytes, items))


def _event(event: Event) -> bytes:
    """Return an event of a text/event-stream (https://html.spec.whatwg.org, 9.2)."""
    data = to_json(event, indent=None)
    return f"id: {event.id}\nevent: {event.event}\ndata: {data}\n\n".encode()


def _heartbeat(stream: Stream[Any]) -> bytes:
    """Return a comment; a log has none, and needs none, since it is a client's own interest."""
    return b": \n\n" if stream.media_type == "text/event-stream" else b""
