"""The ASGI side of the server: check headers, read the body, then run the command in a thread.

A request that is refused by its headers costs no thread, and neither does a slow body.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any, Protocol

from shctl.common import cancellation
from shctl.common.errors import ShctlError
from shctl.common.stream import Stream
from shctl.rest import access_log, logs
from shctl.rest.access import PUBLIC
from shctl.rest.exchange import Exchange
from shctl.rest.http import bodies, connections, wsgi
from shctl.rest.http.bodies import BodyReader, Receive
from shctl.rest.route import Page, Route
from shctl.rest.streaming import Followers

DISCONNECT_CHECK = 0.5  # seconds between checks that a client is still connected
SEND_TIMEOUT = 30.0  # seconds in which a client has to read its response
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application(Protocol):
    """The WSGI application, with what it decides before a request has its body."""

    def admit(self, exchange: Exchange) -> Route | Page:
        """Check a request's headers and return its row of the table; raise ShctlError."""

    def refuse(self, exchange: Exchange, error: BaseException) -> wsgi.Response:
        """Return the response to a request that runs no command, and log it."""

    def __call__(
        self, environ: wsgi.Environ, start_response: Callable[..., Any], /
    ) -> Iterable[bytes]:
        """Respond to an admitted request."""


class ServerStopping(ShctlError):
    """The server stops before a request is done."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "server_stopping"
    title = "Stopping"


class InFlightRequests:
    """Count the requests whose commands are running.

    `idle` is set while there are none. `abort` is set once the server no longer waits for them.
    """

    def __init__(self) -> None:
        self._number = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self.abort: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> None:
        self._number += 1
        self.idle.clear()

    def __exit__(self, *_: object) -> None:
        self._number -= 1
        if not self._number:
            self.idle.set()


class WsgiMiddleware:
    """The ASGI application of one listener, which runs the WSGI application in threads."""

    def __init__(
        self,
        application: Application,
        reader: BodyReader,
        in_flight: InFlightRequests,
        followers: Followers,
        *,
        unix: bool,
    ) -> None:
        self._application = application
        self._bodies = reader
        self._in_flight = in_flight
        self._followers = followers
        self._unix = unix

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request; refuse WebSocket connections."""
        client = self._client(scope)
        if scope["type"] == "websocket":
            access_log.log_refused_upgrade(client, scope["path"])
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            exchange = Exchange(wsgi.environ(scope, client))
            # Hypercorn runs each request in a task of its own, so nothing has to be reset.
            logs.request_id.set(exchange.id)
            await self._serve(exchange, receive, send)

    def _client(self, scope: dict[str, Any]) -> str:
        connection = connections.current.get()
        if self._unix:
            # Hypercorn passes no address for clients of a Unix socket.
            return connection.peer if connection else "local"
        return str((scope.get("client") or ("",))[0])

    async def _serve(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        try:
            row = self._application.admit(exchange)
        except Exception as error:
            await self._refuse(exchange, error, receive, send)
            return
        # Connections without credentials may be closed to make room for others.
        authenticated = exchange.caller.scope != PUBLIC
        with connections.mark_busy() if authenticated else nullcontext():
            await self._serve_admitted(row, exchange, receive, send)

    async def _serve_admitted(
        self, row: Route | Page, exchange: Exchange, receive: Receive, send: Send
    ) -> None:
        try:
            body = await self._read_body(row, exchange, receive)
        except bodies.ClientDisconnected:
            # Half a body may be valid JSON by chance, so it is never acted on.
            return
        except ShctlError as error:
            await self._refuse(exchange, error, receive, send)
            return
        with self._in_flight:
            response = await self._respond(exchange, body, receive)
            if exchange.stream is None:
                await _send(send, response)
                return
        try:
            await self._stream(exchange, exchange.stream, response, receive, send)
        finally:
            exchange.end()

    async def _stream(
        self,
        exchange: Exchange,
        stream: Stream[Any],
        response: wsgi.Response,
        receive: Receive,
        send: Send,
    ) -> None:
        """Send a response that goes on; it costs no thread, and does not delay a stop."""
        # Bottle has counted the empty body that the handler returned.
        headers = [header for header in response.headers if header[0] != "Content-Length"]
        await _send(send, wsgi.Response(response.status, headers, b""), more=True)

        async def send_piece(piece: bytes) -> None:
            await _in_time(send({"type": "http.response.body", "body": piece, "more_body": True}))

        following = asyncio.ensure_future(self._followers.follow(exchange, stream, send_piece))
        disconnect = asyncio.ensure_future(_disconnected(receive))
        await asyncio.wait({following, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        disconnect.cancel()
        if not following.done():
            following.cancel()
            await asyncio.wait({following})
            return
        following.result()
        await _in_time(send({"type": "http.response.body", "body": b""}))

    async def _refuse(
        self, exchange: Exchange, error: Exception, receive: Receive, send: Send
    ) -> None:
        """Respond without the whole body, then read some more of it, see bodies.drain."""
        await _send(send, self._application.refuse(exchange, error), more=True)
        await bodies.drain(receive)
        await send({"type": "http.response.body", "body": b""})

    async def _read_body(self, row: Route | Page, exchange: Exchange, receive: Receive) -> bytes:
        if isinstance(row, Route) and row.has_body:
            return await self._bodies.read(receive, exchange.caller.who)
        return await bodies.read_empty(receive)

    async def _respond(self, exchange: Exchange, body: bytes, receive: Receive) -> wsgi.Response:
        environ = {**exchange.environ, "shctl.exchange": exchange}
        left = threading.Event()
        with cancellation.cancelled_by(left):
            call: asyncio.Future[wsgi.Response] = asyncio.get_running_loop().run_in_executor(
                None, wsgi.call, self._application, environ, body
            )
        await self._wait(call, receive, left)
        if not call.done():
            text = "the server stopped before this was done; check the result before repeating it"
            return self._application.refuse(exchange, ServerStopping(text))
        if error := call.exception():
            return self._application.refuse(exchange, error)
        return call.result()

    async def _wait(
        self, call: "asyncio.Future[Any]", receive: Receive, left: threading.Event
    ) -> None:
        """Wait until a call ends or the server stops; set `left` when the client disconnects."""
        disconnect = asyncio.ensure_future(_disconnected(receive))
        ends: set[asyncio.Future[Any]] = {call, self._in_flight.abort}
        while not any(end.done() for end in ends):
            # Hypercorn does not report an HTTP/1.1 client that disconnects during its request.
            if disconnect.done() or connections.client_disconnected():
                left.set()
            watched = ends if left.is_set() else ends | {disconnect}
            seconds = None if left.is_set() else DISCONNECT_CHECK
            await asyncio.wait(watched, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        disconnect.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, response: wsgi.Response, *, more: bool = False) -> None:
    """Send a response; disconnect a client that does not read it in time."""
    headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in response.headers]

    async def send_all() -> None:
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body, "more_body": more})

    await _in_time(send_all())


async def _in_time(sending: Awaitable[None]) -> None:
    """Send; disconnect a client that does not read in time."""
    try:
        await asyncio.wait_for(sending, SEND_TIMEOUT)
    except TimeoutError:
        if connection := connections.current.get():
            connection.disconnect()
