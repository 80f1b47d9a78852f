"""The results of fetching a file from a server or a local directory."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class FileResult:
    """The content of a small file, or the start of a large one.

    `status` is HTTP's, or a few words: of a local file, or what is wrong with the content.
    """

    status: int | str
    body: bytes = b""

    @property
    def found(self) -> bool:
        """Return whether the file exists and its content is as expected."""
        return self.status in (200, "found")


@dataclass(frozen=True)
class Received:
    """What a download wrote: length in bytes, SHA-256, and HTTP's validators (RFC 9110)."""

    length: int
    sha256: str
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Download:
    """A download in progress: the chunks, the declared length in bytes, and the validators."""

    chunks: Iterator[bytes]
    length: int | None
    etag: str | None = None
    last_modified: str | None = None
