"""Fetching the files of a tree from a server or a directory, with the same checks for both."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from shctl.common.atomic import write_atomically
from shctl.common.errors import InvalidInput
from shctl.install import text_files
from shctl.install.checksums import Checksum
from shctl.install.formats import KERNEL_HEAD, initrd_flaw, is_kernel, kernel_length
from shctl.install.http.client import Answer, Connections
from shctl.install.http.results import (
    Body,
    FetchFailed,
    Limits,
    Received,
    Reply,
    look_local,
    open_local,
    read_local,
)
from shctl.install.http.urls import local_path, redact

# All that magics need, so that no kernel is transferred to see whether it is there.
FIRST = {"Range": f"bytes=0-{KERNEL_HEAD - 1}"}
MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)

Progress = Callable[[int, int | None], None]


class Client:
    """A client for one tree, to be used in a with statement and by one thread at a time."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._opened: Connections | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._opened:
            self._opened.close()
            self._opened = None

    def read(self, url: str) -> Reply:
        """Return a small file, unpacked; raise FetchFailed unless the status is 4xx or less."""
        if path := local_path(url):
            reply, coding = read_local(path, url, self.limits.text_bytes), ""
        else:
            reply, coding = self._read(url)
        try:
            return Reply(
                reply.status, text_files.unpack(reply.body, coding, self.limits.text_bytes)
            )
        except text_files.BadText as error:
            raise FetchFailed(url, "compressed", str(error)) from None

    def look(self, url: str) -> Reply:
        """Return whether a file exists, with its first bytes; raise FetchFailed as read does."""
        if path := local_path(url):
            return look_local(path, url, KERNEL_HEAD)
        with self._texts().limited(self.limits.text_total):
            try:
                reply = self._look(url, FIRST)
            except FetchFailed as error:
                if error.word != "broken off" and not error.word.isdigit():
                    raise
                reply = Reply(error.word)
            if reply.found or reply.status in MISSING:
                return reply
            # Some servers know no ranges, and refuse them instead of ignoring them.
            return self._look(url, {})

    def download(
        self,
        url: str,
        target: Path,
        *,
        checksum: Checksum | None = None,
        kernel: bool = False,
        initrd: bool = False,
        known: Received | None = None,
        progress: Progress | None = None,
    ) -> Received | None:
        """Write the file at url to target, whole and with mode 0644, or leave target as it was.

        With kernel or initrd its beginning is checked. With known an unchanged file is not
        transferred, and None is returned. Progress is called with bytes done and in all. Raise
        InvalidInput when the server answers 4xx, NoSpace when the disk is full, InstallFailed for
        all else.
        """
        with self._source(url, known) as body:
            if body is None:
                return None
            with write_atomically(target) as stream:
                received, head = _store(url, body, stream, checksum, progress)
                if kernel and not is_kernel(head):
                    raise _junk(url, "an x86 Linux kernel")
                if kernel and received.length < (least := kernel_length(head)):
                    short = f"it ends after {received.length} bytes, its header speaks of {least}"
                    raise FetchFailed(url, "too short", f"{short}; retry, or look at the tree")
                if initrd and initrd_flaw(head):
                    raise _junk(url, "an initrd")
                return received

    @contextmanager
    def _source(self, url: str, known: Received | None) -> Iterator[Body | None]:
        if path := local_path(url):
            with open_local(path, url, known) as body:
                yield body
            return
        with (
            closing(Connections(self.limits, exact=True)) as connections,
            connections.limited(self.limits.image_total),
            closing(connections.open(url, _conditions(known))) as answer,
        ):
            yield self._body(connections, answer, url, known)

    def _body(
        self, connections: Connections, answer: Answer, url: str, known: Received | None
    ) -> Body | None:
        status = answer.status
        if status == HTTPStatus.NOT_MODIFIED and known:
            return None
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise InvalidInput(
                f"{redact(url)} cannot be had: the server answers {status}; check the location",
                field="location",
            )
        if status != HTTPStatus.OK:
            raise FetchFailed(url, str(status), f"the server answers {status}; retry later")
        return Body(
            connections.chunks(answer, self.limits.image_bytes),
            answer.length,
            answer.header("ETag"),
            answer.header("Last-Modified"),
        )

    def _texts(self) -> Connections:
        if self._opened is None:
            self._opened = Connections(self.limits, exact=False)
        return self._opened

    def _read(self, url: str) -> tuple[Reply, str]:
        """Return a file as it was sent, and its Content-Encoding."""
        connections = self._texts()
        with (
            connections.limited(self.limits.text_total),
            closing(connections.open(url)) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                return Reply(answer.status), ""
            body = b"".join(connections.chunks(answer, self.limits.text_bytes))
            return Reply(200, body), answer.header("Content-Encoding") or ""

    def _look(self, url: str, headers: Mapping[str, str]) -> Reply:
        connections = self._texts()
        with closing(connections.open(url, headers)) as answer:
            if answer.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                return Reply(200, connections.head(answer, KERNEL_HEAD))
            return Reply(answer.status)


def _junk(url: str, what: str) -> FetchFailed:
    return FetchFailed(url, "junk", f"it is not {what}; check the location")


def _store(
    url: str, body: Body, stream: BinaryIO, checksum: Checksum | None, progress: Progress | None
) -> tuple[Received, bytes]:
    """Write a body; return what was received, and its first bytes."""
    algorithms = {"sha256", checksum.algorithm if checksum else "sha256"}
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    done, head = 0, b""
    for chunk in body.chunks:
        stream.write(chunk)
        for digest in digests.values():
            digest.update(chunk)
        done += len(chunk)
        head += chunk[: KERNEL_HEAD - len(head)]
        if progress:
            progress(done, body.length)
    if checksum and digests[checksum.algorithm].hexdigest() != checksum.value:
        published = f"its {checksum.algorithm} is not the one that the tree publishes; retry"
        raise FetchFailed(url, "checksum", published)
    return Received(done, digests["sha256"].hexdigest(), body.etag, body.last_modified), head


def _conditions(known: Received | None) -> dict[str, str]:
    asked = {
        "If-None-Match": known and known.etag,
        "If-Modified-Since": known and known.last_modified,
    }
    return {name: value for name, value in asked.items() if value}
