"""Read request bodies from the network, within limits of size, time and number."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from shctl.common.errors import ShctlError, Unreachable

MAX_BODY = 64 * 1024  # bytes
MAX_DISCARDED = 4 * 2**20  # bytes
BODY_TIMEOUT = 30.0  # seconds in which a body has to arrive
DRAIN_TIMEOUT = 2.0  # the same for a body that has to be empty, or whose request was refused
MAX_BODIES = 128  # bodies that may arrive at the same time
MAX_PER_CALLER = 32

Receive = Callable[[], Awaitable[dict[str, Any]]]


class BodyTimeout(ShctlError):
    """A body took too long to arrive."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "body_timeout"
    title = "Request timeout"


class ClientDisconnected(Exception):
    """The client closed its connection before its body was complete."""


class BodyReader:
    """Reads the bodies of all listeners, and limits how many arrive at the same time."""

    def __init__(self) -> None:
        self._arriving: Counter[str] = Counter()

    async def read(self, receive: Receive, caller: str) -> bytes:
        """Return a body; of one that is too long, the first MAX_BODY + 1 bytes.

        Raises BodyTimeout, ClientDisconnected, or Unreachable while too many others arrive.
        """
        if self._arriving.total() >= MAX_BODIES or self._arriving[caller] >= MAX_PER_CALLER:
            raise Unreachable("the server is receiving too many request bodies; try again")
        self._arriving[caller] += 1
        try:
            return await _read_within(BODY_TIMEOUT, receive, MAX_BODY + 1)
        finally:
            self._arriving[caller] -= 1
            self._arriving += Counter()  # drops callers whose count is 0


async def read_empty(receive: Receive) -> bytes:
    """Return the first byte of a body that has to be empty.

    Raises BodyTimeout or ClientDisconnected.
    """
    return await _read_within(DRAIN_TIMEOUT, receive, 1)


async def drain(receive: Receive) -> None:
    """Read and discard the rest of a body for a short time.

    Most clients send their whole body before they read a response. If the connection were closed
    earlier, they would see a reset and not the response.
    """
    with suppress(BodyTimeout, ClientDisconnected):
        await _read_within(DRAIN_TIMEOUT, receive, 0)


async def _read_within(seconds: float, receive: Receive, limit: int) -> bytes:
    try:
        return await asyncio.wait_for(_read(receive, limit), seconds)
    except TimeoutError:
        raise BodyTimeout(
            f"the body did not arrive within {seconds:g} s; send the request again"
        ) from None


async def _read(receive: Receive, limit: int) -> bytes:
    """Return at most `limit` bytes of a body, and discard the others."""
    body, size, more = bytearray(), 0, True
    # Bodies somewhat over the limit are read to their end, see drain.
    while more and size <= MAX_DISCARDED:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnected
        part = message.get("body", b"")
        size += len(part)
        body += part[: limit - len(body)]
        more = message.get("more_body", False)
    return bytes(body)
