"""The requests of one probe: each URL is requested once, and recorded with its result."""

import time
from collections.abc import Callable, Collection

from shctl.common.model import Attempt
from shctl.install import formats, text_files
from shctl.install.fetch import TreeClient
from shctl.install.http.errors import FetchFailed
from shctl.install.http.results import FileResult
from shctl.install.http.urls import join, redact

# Returns what is wrong with a file's first bytes, in a few words, or "".
Check = Callable[[bytes], str]
MAX_PATHS = 3  # of one status in a summary


class Probe:
    """A search for the files of a tree below one URL.

    `attempts` are the URLs tried; `doubts` are reasons why files that were found are not used.
    """

    def __init__(self, base: str, client: TreeClient) -> None:
        self.base = base
        self.attempts: list[Attempt] = []
        self.doubts: list[str] = []
        self._client = client
        self._deadline = time.monotonic() + client.limits.probe_total
        self._results: dict[str, FileResult] = {}

    def lines(self, url: str, max_lines: int = text_files.MAX_LINES) -> list[str] | None:
        """Return the lines of a small text file, None if it is missing or not such a file."""

        def request(url: str) -> FileResult:
            return _checked(self._client.read(url), lambda body: text_files.flaw(body, max_lines))

        result = self._request(url, request)
        return text_files.lines(result.body) if result.found else None

    def has(self, kernel: str, initrd: str) -> bool:
        """Return whether the tree has both files, in the right formats."""
        return self._has(kernel, formats.kernel_flaw) and self._has(initrd, formats.initrd_flaw)

    def exists(self, path: str) -> bool:
        """Return whether the tree has a file of any format."""
        return self._has(path, lambda _: "")

    def _has(self, path: str, check: Check) -> bool:
        url = join(self.base, path)
        return self._request(url, lambda url: _checked(self._client.peek(url), check)).found

    def _request(self, url: str, request: Callable[[str], FileResult]) -> FileResult:
        if url not in self._results:
            try:
                self._check_time(url)
                self._results[url] = request(url)
            except FetchFailed as error:
                before = f"; before that: {self.summary()}" if self.attempts else ""
                raise FetchFailed(url, error.summary, error.reason + before) from None
            self.attempts.append(Attempt(redact(url), str(self._results[url].status)))
        return self._results[url]

    def _check_time(self, url: str) -> None:
        # Each request has its own limit; many slow ones together may still take too long.
        if time.monotonic() > self._deadline:
            limit = self._client.limits.probe_total
            reason = f"the probe took more than {limit:g} s; retry later"
            raise FetchFailed(url, "too slow", reason)

    def summary(self, max_paths: int = MAX_PATHS, only: Collection[str] = ()) -> str:
        """Return what was tried: each status with up to `max_paths` paths, relative to the tree."""
        paths: dict[str, list[str]] = {}
        for attempt in self.attempts:
            path = attempt.url.removeprefix(redact(self.base))
            if not only or path in only:
                paths.setdefault(attempt.status, []).append(path)
        return ", ".join(
            f"{status} for {_shortened(those, max_paths)}" for status, those in paths.items()
        )


def _shortened(paths: list[str], count: int) -> str:
    more = f" and {len(paths) - count} more" if len(paths) > count else ""
    return " ".join(paths[:count]) + more


def _checked(result: FileResult, check: Check) -> FileResult:
    """Return the result; for a file with the wrong content, what is wrong instead of status 200."""
    flaw = check(result.body) if result.found else ""
    return FileResult(flaw) if flaw else result
