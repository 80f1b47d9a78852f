"""Write the log to standard error, one JSON object a line, and never block the server.

A thread writes lines from a queue. When the queue is full, lines are dropped and counted, those of
the log "audit" last, and a line reports how many.
"""

import logging
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from io import TextIOBase
from typing import Any

from shctl.common.output import to_json

MAX_QUEUED = 4 * 2**20  # bytes
FLUSH_TIMEOUT = 0.5  # seconds for queued lines when the server ends
REPEAT_INTERVAL = 600.0  # seconds in which the same failure is logged once
AUDIT = "audit"
_MAX_FAILURES = 1000
# The request that the current task or thread works for; added to its lines.
request_id: ContextVar[str] = ContextVar("request_id", default="")


def format_line(
    level: str, log: str, fields: Mapping[str, Any], moment: float | None = None
) -> str:
    """Return a line without its line feed; `moment` is in seconds since 1970, now by default."""
    when = datetime.fromtimestamp(time.time() if moment is None else moment, UTC)
    head = {"time": when.isoformat(timespec="milliseconds"), "level": level, "log": log}
    return to_json({**head, **fields}, indent=None)


class JsonFormatter(logging.Formatter):
    """Formats records as JSON, with the request's id; extra={"fields": {...}} adds keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        fields: dict[str, Any] = {"request": request_id.get()} if request_id.get() else {}
        fields |= record.__dict__.get("fields", {})
        if message := record.getMessage():
            fields["message"] = message
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return format_line(record.levelname.lower(), record.name, fields, record.created)


class LogWriter:
    """A queue of lines, and the thread that writes them to a descriptor."""

    def __init__(self, descriptor: int, limit: int = MAX_QUEUED) -> None:
        self._descriptor = descriptor
        self._limit = limit
        # Reentrant, because garbage collection may run here at any point, and may log.
        self._changed = threading.Condition(threading.RLock())
        # Lines with their numbers: two queues that are written as one.
        self._audit: deque[tuple[int, bytes]] = deque()
        self._others: deque[tuple[int, bytes]] = deque()
        self._size = self._number = self._dropped = self._dropped_audit = 0
        self._idle = True
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def put(self, text: str, *, audit: bool) -> None:
        """Queue a line, or drop and count it; never block."""
        data = text.encode("utf-8", "replace") + b"\n"
        with self._changed:
            while audit and self._others and self._size + len(data) > self._limit:
                self._size -= len(self._others.popleft()[1])
                self._dropped += 1
            if self._size + len(data) > self._limit:
                self._count_dropped(audit=audit)
                return
            self._number += 1
            self._size += len(data)
            (self._audit if audit else self._others).append((self._number, data))
            self._idle = False
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until all lines are written; return whether that took less than `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle, seconds)

    def _count_dropped(self, *, audit: bool) -> None:
        self._dropped += 1
        self._dropped_audit += audit

    def _run(self) -> None:
        written = True
        while True:
            # The number of dropped lines is reported once writing works again.
            data, audit = (written and self._report_dropped()) or self._next()
            written = _write(self._descriptor, data)
            if not written:
                with self._changed:
                    self._count_dropped(audit=audit)

    def _next(self) -> tuple[bytes, bool]:
        """Return the oldest line, and whether it is of the audit log; wait for one."""
        with self._changed:
            while not (self._audit or self._others):
                self._idle = True
                self._changed.notify_all()
                self._changed.wait()
            audit = not self._others or bool(self._audit and self._audit[0] < self._others[0])
            data = (self._audit if audit else self._others).popleft()[1]
            self._size -= len(data)
            return data, audit

    def _report_dropped(self) -> tuple[bytes, bool] | None:
        with self._changed:
            number, audit = self._dropped, self._dropped_audit
            self._dropped = self._dropped_audit = 0
        if not number:
            return None
        fields = {
            "message": f"dropped {number} lines because the log was not read fast enough",
            "dropped": number, "dropped_audit": audit,
        }  # fmt: skip
        return f"{format_line('warning', 'log', fields)}\n".encode(), False


def _write(descriptor: int, data: bytes) -> bool:
    """Write all data, without a time limit; return whether it worked."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # another process made the open file description non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
        except OSError:
            return False
    return True


class _Handler(logging.Handler):
    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self.writer = writer
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception as error:
            fields = {"message": f"a line of {record.name} cannot be written: {error!r}"}
            text = format_line("error", "log", fields)
        self.writer.put(text, audit=record.name == AUDIT)

    def flush(self) -> None:
        self.writer.flush(FLUSH_TIMEOUT)


class RepeatFilter(logging.Filter):
    """Passes the same failure once in an interval."""

    def __init__(self, interval: float = REPEAT_INTERVAL) -> None:
        super().__init__()
        self._interval = interval
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        error = record.exc_info[1] if record.exc_info else None
        key = (record.getMessage(), repr(error)[:500])
        now = time.monotonic()
        if now - self._last.get(key, float("-inf")) < self._interval:
            return False
        if len(self._last) >= _MAX_FAILURES:
            self._last.clear()
        self._last[key] = now
        return True


class _Stream(TextIOBase):
    """Replaces sys.stderr, so that output of Python and libraries becomes log lines."""

    def write(self, text: str) -> int:
        for part in text.splitlines():
            if part.strip():
                logging.getLogger("stderr").warning("%s", part)
        return len(text)


def start() -> None:
    """Send log records, warnings, uncaught exceptions and output on sys.stderr to the log."""
    handler = _Handler(LogWriter(os.dup(sys.stderr.fileno())))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.raiseExceptions = False
    package = logging.getLogger("shctl")
    # --debug and --verbose have set its level, and a handler for people, which is replaced here.
    package.handlers.clear()
    if package.level == logging.NOTSET:
        package.setLevel(logging.WARNING)
    # asyncio logs every aborted connection; clients could flood the log.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    for name in ("hypercorn", "libvirt", "loop", "python", "supervision"):
        logging.getLogger(name).addFilter(RepeatFilter())
    sys.stderr = _Stream()
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda *error: _log_exception("an exception ended Python", error)
    sys.unraisablehook = lambda args: _log_exception(
        args.err_msg or "an exception was ignored",
        (args.exc_type, args.exc_value, args.exc_traceback),
    )
    threading.excepthook = lambda args: _log_exception(
        "an exception ended a thread", (args.exc_type, args.exc_value, args.exc_traceback)
    )


def _log_exception(text: str, error: Any) -> None:
    logging.getLogger("python").error(text, exc_info=error)
