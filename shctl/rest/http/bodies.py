"""Take bodies off the network, within limits of size, time and number."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from shctl.common.errors import ShctlError, Unreachable
from shctl.rest.parsing import MAX_BODY

MOST_IGNORED = 4 * 2**20  # bytes
BODY_TIME = 30.0  # seconds in which a body has to arrive
EMPTY_TIME = 2.0  # the same for a body that is to be empty, or is not wanted any longer
MOST = 128  # bodies that may be on their way at once
EACH = 32  # of them from one caller

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Late(ShctlError):
    """A body took too long to arrive."""

    status = HTTPStatus.REQUEST_TIMEOUT
    title = "Request timeout"


class Gone(Exception):
    """The client has left before its body was complete."""


class Bodies:
    """The bodies that are on their way, over all listeners."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()

    async def read(self, receive: Receive, who: str) -> bytes:
        """Return a body, or the beginning of one that is too long.

        Raises Late, Gone, or Unreachable while too many others are on their way.
        """
        if self._under_way.total() >= MOST or self._under_way[who] >= EACH:
            raise Unreachable("too many request bodies are on their way; try again")
        self._under_way[who] += 1
        try:
            return await _within(BODY_TIME, receive, MAX_BODY + 1)
        finally:
            self._under_way[who] -= 1
            self._under_way += Counter()  # forgets callers of whom there are none left


async def read_empty(receive: Receive) -> bytes:
    """Return the first byte of a body that is to be empty; raise Late or Gone."""
    return await _within(EMPTY_TIME, receive, 1)


async def ignore(receive: Receive) -> None:
    """Let a client send what is left of a body, briefly: most read no answer before."""
    with suppress(Late, Gone):
        await _within(EMPTY_TIME, receive, 0)


async def _within(seconds: float, receive: Receive, kept: int) -> bytes:
    try:
        return await asyncio.wait_for(_read(receive, kept), seconds)
    except TimeoutError:
        raise Late(f"the body did not arrive within {seconds:g} s") from None


async def _read(receive: Receive, kept: int) -> bytes:
    body, size, more = bytearray(), 0, True
    # A client reads no answer while it sends, so what is only somewhat too long is taken in.
    while more and size <= MOST_IGNORED:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        body += part[: kept - len(body)]
        more = message.get("more_body", False)
    return bytes(body)
