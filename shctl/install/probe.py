"""A probe's questions to a tree, each asked once and noted with its answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from shctl.install import formats, text_files
from shctl.install.fetch import Client
from shctl.install.http.results import FetchFailed, Reply
from shctl.install.http.urls import join, redact

Flaw = Callable[[bytes], str]


@dataclass(frozen=True)
class Attempt:
    """A URL that was tried, without secrets, and its HTTP status or a word."""

    url: str
    status: int | str


class Search:
    """One probe: what was asked of the tree and what it answered."""

    def __init__(self, base: str, client: Client) -> None:
        self.base = base
        self.attempts: list[Attempt] = []
        self.doubts: list[str] = []
        self._client = client
        self._end = time.monotonic() + client.limits.probe_total
        self._replies: dict[str, Reply] = {}

    def text(self, url: str, most_lines: int = text_files.MOST_LINES) -> list[str] | None:
        """Return the lines of a small file, None where there is none or it has more lines."""

        def read(url: str) -> Reply:
            return _judged(self._client.read(url), lambda body: text_files.flaw(body, most_lines))

        reply = self._ask(url, read)
        return text_files.lines(reply.body) if reply.found else None

    def has(self, kernel: str, initrd: str) -> bool:
        """Tell whether the tree has both files, by what they begin with."""
        return self._has(kernel, formats.kernel_flaw) and self._has(initrd, formats.initrd_flaw)

    def _has(self, path: str, flaw: Flaw) -> bool:
        return self._ask(
            join(self.base, path), lambda url: _judged(self._client.look(url), flaw)
        ).found

    def _ask(self, url: str, ask: Callable[[str], Reply]) -> Reply:
        if url not in self._replies:
            try:
                self._check_time(url)
                self._replies[url] = ask(url)
            except FetchFailed as error:
                before = f"; before that: {self.tell()}" if self.attempts else ""
                raise FetchFailed(url, error.word, error.reason + before) from None
            self.attempts.append(Attempt(redact(url), self._replies[url].status))
        return self._replies[url]

    def _check_time(self, url: str) -> None:
        if time.monotonic() > self._end:
            limit = self._client.limits.probe_total
            raise FetchFailed(
                url, "too slow", f"the search took more than {limit:g} s; retry later"
            )

    def tell(self) -> str:
        """Return what was tried in few words: paths below the tree, by status."""
        by_status: dict[int | str, list[str]] = {}
        for attempt in self.attempts:
            path = attempt.url.removeprefix(redact(self.base))
            by_status.setdefault(attempt.status, []).append(path)
        return ", ".join(f"{status} for {' '.join(paths)}" for status, paths in by_status.items())


def _judged(reply: Reply, flaw: Flaw) -> Reply:
    """Return reply, but its flaw for a file that is not what it should be, whatever the status."""
    words = flaw(reply.body) if reply.found else ""
    return Reply(words) if words else reply
