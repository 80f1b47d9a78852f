"""Fetch the files of a tree from a server or a local directory, with the same checks."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from shctl.common.atomic import write_atomically
from shctl.common.errors import InvalidInput
from shctl.install import local_tree, text_files
from shctl.install.checksums import Checksum
from shctl.install.formats import KERNEL_HEAD, initrd_flaw, is_kernel, kernel_length
from shctl.install.http.client import HttpClient, Response
from shctl.install.http.errors import FetchFailed
from shctl.install.http.limits import Limits
from shctl.install.http.results import Download, FileResult, Received
from shctl.install.http.urls import local_path, redact

# The bytes that identify a kernel or initrd, so that a probe does not transfer whole kernels.
RANGE = {"Range": f"bytes=0-{KERNEL_HEAD - 1}"}
MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)

Progress = Callable[[int, int | None], None]


class TreeClient:
    """Reads and downloads the files of one tree; a context manager, used by one thread at a time.

    URLs may also be file: URLs.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._http: HttpClient | None = None

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
        if self._http:
            self._http.close()
            self._http = None

    def read(self, url: str) -> FileResult:
        """Return the content of a small file, decompressed.

        A status of 4xx is a result too; raise FetchFailed if the server does not work.
        """
        limit = self.limits.text_bytes
        if path := local_path(url):
            result, encoding = local_tree.read(path, url, limit), ""
        else:
            result, encoding = self._read(url)
        try:
            return FileResult(result.status, text_files.unpack(result.body, encoding, limit))
        except text_files.BadText as error:
            raise FetchFailed(url, "compressed", str(error)) from None

    def peek(self, url: str) -> FileResult:
        """Return whether a file exists, and its first bytes; raise FetchFailed as read does."""
        if path := local_path(url):
            return local_tree.peek(path, url, KERNEL_HEAD)
        with self._client().time_limit(self.limits.text_total):
            try:
                result = self._peek(url, RANGE)
            except FetchFailed as error:
                # Anything else, such as a time limit, would fail again without the range.
                if error.summary != "broken off" and not error.summary.isdigit():
                    raise
                result = FileResult(error.summary)
            if result.found or result.status in MISSING:
                return result
            # Some servers reject range requests, although they may ignore them (RFC 9110, 14.2).
            return self._peek(url, {})

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
        """Write the file at url to target atomically, with mode 0644.

        `kernel` and `initrd` check the file's format. If the file is unchanged since `known`, it is
        not transferred, and None is returned. `progress` is called with the bytes done and the
        total. Raise InvalidInput for status 4xx, NoSpace, and InstallFailed for other failures;
        target is unchanged then.
        """
        with self._source(url, known) as source:
            if source is None:
                return None
            with write_atomically(target) as stream:
                received, head = _store(url, source, stream, checksum, progress)
                if kernel and not is_kernel(head):
                    raise _wrong_format(url, "an x86 Linux kernel")
                if kernel and received.length < (least := kernel_length(head)):
                    short = f"it has {received.length} bytes, but its header declares {least}"
                    raise FetchFailed(url, "too short", f"{short}; retry, or check the tree")
                if initrd and initrd_flaw(head):
                    raise _wrong_format(url, "an initrd")
                return received

    @contextmanager
    def _source(self, url: str, known: Received | None) -> Iterator[Download | None]:
        if path := local_path(url):
            with local_tree.open_file(path, url, known) as source:
                yield source
            return
        # A client of its own: an exact one makes a new connection for each request anyway.
        with (
            closing(HttpClient(self.limits, exact=True)) as client,
            client.time_limit(self.limits.image_total),
            closing(client.get(url, _conditions(known))) as response,
        ):
            yield self._start(client, response, url, known)

    def _start(
        self, client: HttpClient, response: Response, url: str, known: Received | None
    ) -> Download | None:
        status = response.status
        if status == HTTPStatus.NOT_MODIFIED and known:
            return None
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise InvalidInput(
                f"cannot fetch {redact(url)}: the server returned {status}; check the location",
                field="location",
            )
        if status != HTTPStatus.OK:
            raise FetchFailed(url, str(status), f"the server returned {status}; retry later")
        return Download(
            client.read_chunks(response, self.limits.image_bytes),
            response.length,
            response.header("ETag"),
            response.header("Last-Modified"),
        )

    def _client(self) -> HttpClient:
        """Return the client for small files, which keeps its connections open."""
        if self._http is None:
            self._http = HttpClient(self.limits, exact=False)
        return self._http

    def _read(self, url: str) -> tuple[FileResult, str]:
        """Return a small file as sent, and its Content-Encoding."""
        client = self._client()
        with (
            client.time_limit(self.limits.text_total),
            closing(client.get(url)) as response,
        ):
            if response.status != HTTPStatus.OK:
                return FileResult(response.status), ""
            body = b"".join(client.read_chunks(response, self.limits.text_bytes))
            return FileResult(200, body), response.header("Content-Encoding") or ""

    def _peek(self, url: str, headers: Mapping[str, str]) -> FileResult:
        client = self._client()
        with closing(client.get(url, headers)) as response:
            if response.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                return FileResult(200, client.read_start(response, KERNEL_HEAD))
            return FileResult(response.status)


def _wrong_format(url: str, expected: str) -> FetchFailed:
    return FetchFailed(url, "wrong format", f"it is not {expected}; check the location")


def _store(
    url: str,
    source: Download,
    stream: BinaryIO,
    checksum: Checksum | None,
    progress: Progress | None,
) -> tuple[Received, bytes]:
    """Write a download to a stream; return its length, digest and validators, and first bytes."""
    # SHA-256 is for the cache, the tree's own algorithm to verify what it publishes.
    algorithms = {"sha256", checksum.algorithm if checksum else "sha256"}
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    done, head = 0, b""
    for chunk in source.chunks:
        stream.write(chunk)
        for digest in digests.values():
            digest.update(chunk)
        done += len(chunk)
        head += chunk[: KERNEL_HEAD - len(head)]
        if progress:
            progress(done, source.length)
    if checksum and digests[checksum.algorithm].hexdigest() != checksum.value:
        reason = f"its {checksum.algorithm} differs from the one that the tree publishes; retry"
        raise FetchFailed(url, "checksum", reason)
    return Received(done, digests["sha256"].hexdigest(), source.etag, source.last_modified), head


def _conditions(known: Received | None) -> dict[str, str]:
    """Return the headers of a conditional request (RFC 9110, section 13)."""
    headers = {
        "If-None-Match": known and known.etag,
        "If-Modified-Since": known and known.last_modified,
    }
    return {name: value for name, value in headers.items() if value}
