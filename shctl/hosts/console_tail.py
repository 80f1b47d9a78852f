"""The end of a host's console log: its last line, its silence, and the installer's phase."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from shctl.common.errors import ShctlError
from shctl.common.text import clean
from shctl.hosts import console_log, installer_phases, log_view, logfile

_MAX_READ = 2**16  # bytes
_MAX_LINE = 300  # characters

# In this order. A program that draws on the screen moves the cursor instead of ending its lines, or
# moves it forward instead of writing blanks; it draws frames with the VT100's line characters.
_REPLACED = (
    (re.compile(r"\x1b\[[0-9;?]{0,40}[ABEFGHJdf]|\x1b[78cDEM]"), "\n"),
    (re.compile(r"\x1b\[[0-9]{0,3}C"), " "),
    (re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"), ""),
    (re.compile(r"(?:\x1b\(0|\x0e)[`-~\s]*"), "\n"),
    (re.compile(r"\x1b[ -/]*[0-~]|[\x00-\x08\x0e\x0f\x7f]"), ""),
)
# Unicode's line characters, and what a dialog has instead without them.
_FRAME = " \t|" + "".join(map(chr, range(0x2500, 0x25A0)))
_WORD = re.compile(r"[^\W_]")
# What the screen of debian-installer and the tmux of Anaconda show in one line all the time, with a
# clock, and newt's help.
_BAR = re.compile(
    r"\[ .{1,78}\]\[ [A-Z][a-z]{2} [0-9]{1,2} [0-9]{2}:[0-9]{2} \]|\[anaconda\]|<Tab> moves; "
)
_BLANKS = re.compile(r"\s+")


class Tail:
    """The end of one log; `installer` says that the host runs its installer.

    `line` is the last line with a word; `step` is what the installer says it does, None if it does
    not say so.
    """

    def __init__(self, path: Path, *, installer: bool) -> None:
        self.line = ""
        self.step: str | None = None
        self._path = path
        self._installer = installer
        self._read: tuple[int, float] | None = None
        self._written = 0.0

    @property
    def silence(self) -> float:
        """Return the seconds since the last text."""
        return max(time.time() - self._written, 0)

    def update(self) -> bool:
        """Read the log if it has changed; return False if it cannot be read."""
        try:
            status = self._path.stat()
            if self._read != (status.st_size, status.st_mtime):
                self._note(console_log.newest(self._path, _MAX_READ), status)
        except (OSError, ShctlError):
            return False
        self._read = (status.st_size, status.st_mtime)
        return True

    def _note(self, log: bytes, status: os.stat_result) -> None:
        grown = status.st_size - self._read[0] if self._read else 0
        # A clock on the screen goes on even if an installer waits for an answer.
        if grown <= 0 or _texts(log[-grown:]):
            self._written = status.st_mtime
        lines = text_lines(log)
        self.line = lines[-1][:_MAX_LINE] if lines else ""
        self.step = installer_phases.find(lines) if self._installer else None


def tail(console: str | None, host: str, *, installer: bool) -> Tail | None:
    """Return the end of a host's log by the path in its XML; None if shctl may not read it."""
    with suppress(ShctlError):
        if console is not None:
            return Tail(logfile.resolve(Path(console), host), installer=installer)
    return None


def text_lines(log: bytes) -> list[str]:
    """Return the lines with a word since the last boot, without control sequences and frames."""
    # Dots and bars without a word show progress, which says nothing by itself.
    return [line for line in _texts(log_view.since_boot(log)) if _WORD.search(line)]


def _texts(log: bytes) -> list[str]:
    """Return the lines that are not blank, but for those that a screen has all the time."""
    text = log.decode("utf-8", "replace")
    for expression, replacement in _REPLACED:
        text = expression.sub(replacement, text)
    lines = (clean(_BLANKS.sub(" ", line.strip(_FRAME))) for line in text.splitlines())
    return [line for line in lines if line and not _BAR.match(line)]
