"""libvirt streams: libvirtd keeps its end open until the client ends it."""

from collections.abc import Iterator
from typing import Any

import libvirt
import pytest

from shctl.common.errors import ShctlError
from shctl.hypervisor.binding import receive, translated


class Stream:
    """A stream that returns chunks, then fails."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self.ends: list[str] = []

    def newStream(self) -> "Stream":  # noqa: N802, libvirt's
        return self

    def recv(self, _: int) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            raise libvirt.libvirtError("the disk is broken") from None

    def finish(self) -> None:
        self.ends.append("finish")

    def abort(self) -> None:
        self.ends.append("abort")
        raise libvirt.libvirtError("it has ended already")


def test_all_chunks_are_received() -> None:
    stream, begun = Stream(b"a", b"b", b""), list[Any]()
    assert receive(stream, begun.append) == b"ab"
    assert (begun, stream.ends) == ([stream], ["finish"])


def test_failed_stream_is_aborted() -> None:
    stream = Stream(b"a")
    with (
        pytest.raises(ShctlError, match="cannot read it: the disk is broken"),
        translated("cannot read it"),
    ):
        receive(stream, lambda _: None)
    assert stream.ends == ["abort"]
