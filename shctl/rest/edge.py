"""Take bodies off the network before a thread is spent on them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from hypercorn.middleware import AsyncioWSGIMiddleware

from shctl.rest import sockets
from shctl.rest.strict import MAX_BODY

MOST_IGNORED = 4 * 2**20  # bytes
BODY_TIME = 30.0  # seconds in which a body has to arrive

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


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
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(_read(receive), BODY_TIME)
        except TimeoutError:
            late = f"the body did not arrive within {BODY_TIME:g} s"
            await _refuse(send, HTTPStatus.REQUEST_TIMEOUT, late)
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
            stopping = "the server had to stop before this was done; look before repeating it"
            await _refuse(send, HTTPStatus.SERVICE_UNAVAILABLE, stopping)

    def _amended(self, scope: dict[str, Any]) -> dict[str, Any]:
        # Version 0.13's middleware takes the address of a Unix socket's client for a pair.
        client = (sockets.peer.get(), 0) if self._unix else scope["client"]
        return {**scope, "client": client, "server": scope.get("server") or ("localhost", 0)}


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


async def _refuse(send: Send, status: HTTPStatus, detail: str) -> None:
    problem = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(problem).encode()})
