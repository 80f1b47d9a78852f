"""Take bodies off the network before a thread is spent on them."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from hypercorn.middleware import AsyncioWSGIMiddleware

from shctl.errors import ShctlError
from shctl.rest import journal, replies, sockets
from shctl.rest.strict import MAX_BODY

MOST_IGNORED = 4 * 2**20  # bytes
BODY_TIME = 30.0  # seconds in which a body has to arrive
_ORIGIN = re.compile(r"^https?://[^/]*", re.IGNORECASE)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Late(ShctlError):
    """A body took too long to arrive."""

    status = HTTPStatus.REQUEST_TIMEOUT
    title = "Request timeout"


class Stopping(ShctlError):
    """The server stops before a request is done."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Stopping"


class Gone(Exception):
    """The client has left before its body was complete."""


class Flights:
    """The requests that are being worked on.

    `landed` is set while there are none; `over` is done once they are not waited for any longer.
    """

    def __init__(self) -> None:
        self._number = 0
        self.landed = asyncio.Event()
        self.landed.set()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> None:
        self._number += 1
        self.landed.clear()

    def __exit__(self, *_: object) -> None:
        self._number -= 1
        if not self._number:
            self.landed.set()


class Edge:
    """The ASGI application of one listener, in front of its WSGI application."""

    def __init__(self, server: Callable[..., Any], flights: Flights, *, unix: bool) -> None:
        self._app: Any = AsyncioWSGIMiddleware(server, max_body_size=MAX_BODY + 1)
        self._flights = flights
        self._unix = unix

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request; what is no request is left to Hypercorn's middleware."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                journal.refuse_upgrade(self._client(scope)[0], scope["path"])
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(_read(receive), BODY_TIME)
        except TimeoutError:
            await _refuse(send, Late(f"the body did not arrive within {BODY_TIME:g} s"))
        except Gone:
            # Half a body may well be whole JSON, so nothing of it is acted on.
            return
        else:
            with self._flights:
                await self._answer(self._amended(scope), _once(body), send)

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        answer: list[dict[str, Any]] = []

        async def collect(message: dict[str, Any]) -> None:
            answer.append(message)

        work = asyncio.ensure_future(self._app(scope, receive, collect))
        await asyncio.wait({work, self._flights.over}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            for message in answer:
                await send(message)
        else:
            early = "the server had to stop before this was done; look before repeating it"
            await _refuse(send, Stopping(early))

    def _amended(self, scope: dict[str, Any]) -> dict[str, Any]:
        server = scope.get("server") or ("localhost", 0)
        # A whole URL is what a client sends that takes the server for a proxy (RFC 9112, 3.2.2).
        path = _ORIGIN.sub("", scope["path"]) or "/"
        return {**scope, "client": self._client(scope), "server": server, "path": path}

    def _client(self, scope: dict[str, Any]) -> tuple[str, int]:
        # Version 0.13's middleware takes the address of a Unix socket's client for a pair.
        return (sockets.peer.get(), 0) if self._unix else scope["client"]


async def _read(receive: Receive) -> bytes:
    """Return a body, or the beginning of one that is too long."""
    body, size, more = bytearray(), 0, True
    # A client reads no answer while it sends, so what is only somewhat too long is taken in.
    while more and size <= MOST_IGNORED:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        body += part[: MAX_BODY + 1 - len(body)]
        more = message.get("more_body", False)
    return bytes(body)


def _once(body: bytes) -> Receive:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _refuse(send: Send, error: ShctlError) -> None:
    answer = replies.problem(error, Connection="close")
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headerlist]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
