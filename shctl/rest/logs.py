"""Write log lines, one JSON object each, without ever waiting for whoever reads them.

Lines go into a queue that one thread empties. When that cannot keep up they are dropped and
counted, those of the log "audit" last, and a line says how many were.
"""

import logging
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from io import TextIOBase
from typing import Any

from shctl.common.output import to_json

MOST = 4 * 2**20  # bytes that may wait to be written
LAST = 0.5  # seconds for what waits when the server ends
QUIET = 600.0  # seconds for which a failure that comes again is not written again
KEPT = "audit"
_MOST_FAILURES = 1000


def line(level: str, log: str, fields: Mapping[str, Any], moment: float | None = None) -> str:
    """Return one line, without its end."""
    when = datetime.fromtimestamp(time.time() if moment is None else moment, UTC)
    head = {"time": when.isoformat(timespec="milliseconds"), "level": level, "log": log}
    return to_json({**head, **fields}, indent=None)


class AsJson(logging.Formatter):
    """Turns records into lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        fields: dict[str, Any] = dict(record.__dict__.get("fields", {}))
        if message := record.getMessage():
            fields["message"] = message
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return line(record.levelname.lower(), record.name, fields, record.created)


class Writer:
    """The lines that wait for a descriptor, and the thread that writes them."""

    def __init__(self, descriptor: int, most: int = MOST) -> None:
        self._descriptor = descriptor
        self._most = most
        # A search for garbage may log in the middle of anything: the lock has to be reentrant.
        self._changed = threading.Condition(threading.RLock())
        self._kept: deque[tuple[int, bytes]] = deque()
        self._others: deque[tuple[int, bytes]] = deque()
        self._size = self._number = self._dropped = self._dropped_kept = 0
        self._idle = True
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def put(self, text: str, *, kept: bool) -> None:
        """Take a line in, or count it as dropped; return at once."""
        data = text.encode("utf-8", "replace") + b"\n"
        with self._changed:
            while kept and self._others and self._size + len(data) > self._most:
                self._size -= len(self._others.popleft()[1])
                self._dropped += 1
            if self._size + len(data) > self._most:
                self._count(kept=kept)
                return
            self._number += 1
            self._size += len(data)
            (self._kept if kept else self._others).append((self._number, data))
            self._idle = False
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until all is written; return whether that was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle, seconds)

    def _count(self, *, kept: bool) -> None:
        self._dropped += 1
        self._dropped_kept += kept

    def _run(self) -> None:
        works = True
        while True:
            # What was dropped is written once somebody reads again.
            data, kept = (works and self._notice()) or self._next()
            works = _write(self._descriptor, data)
            if not works:
                with self._changed:
                    self._count(kept=kept)

    def _next(self) -> tuple[bytes, bool]:
        """Return the oldest line, and whether it is of those that are dropped last."""
        with self._changed:
            while not (self._kept or self._others):
                self._idle = True
                self._changed.notify_all()
                self._changed.wait()
            kept = not self._others or bool(self._kept and self._kept[0] < self._others[0])
            data = (self._kept if kept else self._others).popleft()[1]
            self._size -= len(data)
            return data, kept

    def _notice(self) -> tuple[bytes, bool] | None:
        with self._changed:
            number, kept = self._dropped, self._dropped_kept
            self._dropped = self._dropped_kept = 0
        if not number:
            return None
        fields = {
            "message": f"{number} lines were dropped, since nobody read the log",
            "dropped": number, "dropped_audit": kept,
        }  # fmt: skip
        return f"{line('warning', 'log', fields)}\n".encode(), False


def _write(descriptor: int, data: bytes) -> bool:
    """Write all of the data, however long that takes; return whether it worked."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
        except OSError:
            return False
    return True


class _Handler(logging.Handler):
    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self.writer = writer
        self.setFormatter(AsJson())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception as error:
            fields = {"message": f"a line of {record.name} cannot be written: {error!r}"}
            text = line("error", "log", fields)
        self.writer.put(text, kept=record.name == KEPT)

    def flush(self) -> None:
        self.writer.flush(LAST)


class Repeats(logging.Filter):
    """Lets the same failure through once in ten minutes."""

    def __init__(self, quiet: float = QUIET) -> None:
        super().__init__()
        self._quiet = quiet
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be written."""
        error = record.exc_info[1] if record.exc_info else None
        key = (record.getMessage(), repr(error)[:500])
        now = time.monotonic()
        if now - self._last.get(key, float("-inf")) < self._quiet:
            return False
        if len(self._last) >= _MOST_FAILURES:
            self._last.clear()
        self._last[key] = now
        return True


class _Stream(TextIOBase):
    """Stands for standard error: what Python and libraries print there becomes lines."""

    def write(self, text: str) -> int:
        for part in text.splitlines():
            if part.strip():
                logging.getLogger("stderr").warning("%s", part)
        return len(text)


def start() -> None:
    """Send everything that is logged, warned of or printed as an error to standard error."""
    handler = _Handler(Writer(os.dup(sys.stderr.fileno())))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.raiseExceptions = False
    # Clients decide how many connections break off, and this one logs each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    for name in ("hypercorn", "libvirt", "loop", "python", "supervision"):
        logging.getLogger(name).addFilter(Repeats())
    sys.stderr = _Stream()
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda *error: _caught("an exception ended Python", error)
    sys.unraisablehook = lambda args: _caught(
        args.err_msg or "an exception was ignored",
        (args.exc_type, args.exc_value, args.exc_traceback),
    )
    threading.excepthook = lambda args: _caught(
        "an exception ended a thread", (args.exc_type, args.exc_value, args.exc_traceback)
    )


def _caught(what: str, error: Any) -> None:
    logging.getLogger("python").error(what, exc_info=error)
