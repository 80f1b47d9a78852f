"""Admit requests by their headers, take in their bodies, and only then spend a thread on them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any

from shctl.common import cancellation
from shctl.common.errors import ShctlError
from shctl.rest import access_log
from shctl.rest.access import PUBLIC
from shctl.rest.access_log import Exchange
from shctl.rest.http import bodies, connections, wsgi
from shctl.rest.http.bodies import Bodies, Receive
from shctl.rest.route import Page, Route
from shctl.server import Server

LOOK = 0.5  # seconds between looks whether a client is still there
SEND_TIME = 30.0  # seconds in which a client has to take its answer
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Stopping(ShctlError):
    """The server stops before a request is done."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Stopping"


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

    def __init__(self, server: Server, shared: Bodies, flights: Flights, *, unix: bool) -> None:
        self._server = server
        self._bodies = shared
        self._flights = flights
        self._unix = unix

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request; other protocols are turned away."""
        client = self._client(scope)
        if scope["type"] == "websocket":
            access_log.refuse_upgrade(client, scope["path"])
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await self._serve(Exchange(wsgi.environ(scope, client)), receive, send)

    def _client(self, scope: dict[str, Any]) -> str:
        connection = connections.current.get()
        if self._unix:
            # Hypercorn has no address for a Unix socket's client.
            return connection.peer if connection else "local"
        return str((scope.get("client") or ("",))[0])

    async def _serve(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        try:
            row = self._server.admit(exchange)
        except Exception as error:
            await self._refuse(exchange, error, receive, send)
            return
        # Whoever has not shown credentials makes room for others.
        known = exchange.caller.scope != PUBLIC
        with connections.in_use() if known else nullcontext():
            await self._serve_admitted(row, exchange, receive, send)

    async def _serve_admitted(
        self, row: Route | Page, exchange: Exchange, receive: Receive, send: Send
    ) -> None:
        try:
            body = await self._body(row, exchange, receive)
        except bodies.Gone:
            # Half a body may well be whole JSON, so nothing of it is acted on.
            return
        except ShctlError as error:
            await self._refuse(exchange, error, receive, send)
            return
        with self._flights:
            await _send(send, await self._answer(exchange, body, receive))

    async def _refuse(
        self, exchange: Exchange, error: Exception, receive: Receive, send: Send
    ) -> None:
        """Answer before the body is there, and take in a little more of it."""
        await _send(send, self._server.refuse(exchange, error), more=True)
        await bodies.ignore(receive)
        await send({"type": "http.response.body", "body": b""})

    async def _body(self, row: Route | Page, exchange: Exchange, receive: Receive) -> bytes:
        if isinstance(row, Route) and row.has_body:
            return await self._bodies.read(receive, exchange.caller.who)
        return await bodies.read_empty(receive)

    async def _answer(self, exchange: Exchange, body: bytes, receive: Receive) -> wsgi.Answer:
        given = {**exchange.environ, "shctl.exchange": exchange}
        left = threading.Event()
        with cancellation.noted(left):
            work: asyncio.Future[wsgi.Answer] = asyncio.get_running_loop().run_in_executor(
                None, wsgi.call, self._server, given, body
            )
        await self._finish(work, receive, left)
        if not work.done():
            early = "the server had to stop before this was done; look before repeating it"
            return self._server.refuse(exchange, Stopping(early))
        if error := work.exception():
            return self._server.refuse(exchange, error)
        return work.result()

    async def _finish(
        self, work: "asyncio.Future[Any]", receive: Receive, left: threading.Event
    ) -> None:
        """Wait until work is done or the server stops; set `left` when the client goes."""
        gone = asyncio.ensure_future(_disconnected(receive))
        ends: set[asyncio.Future[Any]] = {work, self._flights.over}
        while not any(end.done() for end in ends):
            if gone.done() or connections.has_left():
                left.set()
            watched, seconds = (ends, None) if left.is_set() else (ends | {gone}, LOOK)
            await asyncio.wait(watched, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, answer: wsgi.Answer, *, more: bool = False) -> None:
    """Send an answer; hang up on a client that does not take it."""
    headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in answer.headers]

    async def send_all() -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": more})

    try:
        await asyncio.wait_for(send_all(), SEND_TIME)
    except TimeoutError:
        if connection := connections.current.get():
            connection.hang_up()
