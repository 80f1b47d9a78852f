"""Request bodies: their limits of size, time and number."""

import asyncio
from typing import Any

import pytest

from shctl.common.errors import Unreachable
from shctl.rest.http import bodies
from shctl.rest.http.bodies import MAX_BODY, BodyReader, BodyTimeout, ClientDisconnected, Receive


def sends(*messages: dict[str, Any]) -> Receive:
    """Return a client that sends these messages, and then nothing more."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def read(receive: Receive) -> bytes:
    return asyncio.run(BodyReader().read(receive, "token t"))


def test_parts_are_joined() -> None:
    assert read(sends(part(b"ab", more=True), part(b"", more=True), part(b"c"))) == b"abc"


def test_a_body_that_is_too_long_is_cut() -> None:
    assert len(read(sends(part(b"x" * MAX_BODY, more=True), part(b"x" * MAX_BODY)))) == MAX_BODY + 1


def test_an_endless_body_is_not_read_completely() -> None:
    async def receive() -> dict[str, Any]:
        return part(b"x" * 2**20, more=True)

    assert len(read(receive)) == MAX_BODY + 1


def test_half_a_body_is_an_error() -> None:
    with pytest.raises(ClientDisconnected):
        read(sends(part(b"{}", more=True), {"type": "http.disconnect"}))


def test_a_slow_body_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT", 0.01)
    with pytest.raises(BodyTimeout, match="within 0.01 s"):
        read(sends(part(b"{", more=True)))


def test_each_caller_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_PER_CALLER", 1)

    async def use() -> None:
        reader = BodyReader()
        first = asyncio.create_task(reader.read(sends(), "token a"))
        await asyncio.sleep(0)
        with pytest.raises(Unreachable, match="too many request bodies"):
            await reader.read(sends(part(b"")), "token a")
        assert await reader.read(sends(part(b"{}")), "token b") == b"{}"
        first.cancel()
        await asyncio.wait([first])
        assert await reader.read(sends(part(b"{}")), "token a") == b"{}"

    asyncio.run(use())
