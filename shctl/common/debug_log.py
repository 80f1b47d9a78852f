"""Log calls to other programs and servers, each with its result and duration.

Importing logging takes 5 ms, so this module does not: where nobody has imported it, nobody has
configured it, and there is nothing to log to.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shctl.common.text import clean

if TYPE_CHECKING:
    from logging import Logger

_DEBUG, _INFO = 10, 20  # as in logging
_MAX_LENGTH = 500  # characters of a call, and of its result


class Call:
    """A call that is logged; `result` is what the log line has as its result."""

    result: object = "ok"


@contextmanager
def logged(logger_name: str, description: str) -> Iterator[Call]:
    """Log the call in the block at debug level: its result or error, and milliseconds.

    The description and the result must not contain secrets, nor must the text of an error.
    """
    call = Call()
    logger = _logger(logger_name, _DEBUG)
    if logger is None:
        yield call
        return
    begin = time.monotonic()
    try:
        yield call
    # Also KeyboardInterrupt: the call that was interrupted is the one of interest.
    except BaseException as error:
        call.result = f"{type(error).__name__}: {error}"
        raise
    finally:
        milliseconds = 1000 * (time.monotonic() - begin)
        texts = (clean(str(text))[:_MAX_LENGTH] for text in (description, call.result))
        logger.debug("%s: %s, %.1f ms", *texts, milliseconds)


def is_logged(logger_name: str) -> bool:
    """Return whether calls are logged."""
    return _logger(logger_name, _DEBUG) is not None


def progress(logger_name: str, text: str) -> None:
    """Log at level INFO what shctl is about to do."""
    if logger := _logger(logger_name, _INFO):
        logger.info("%s", clean(text))


def _logger(name: str, level: int) -> Logger | None:
    """Return a logger, or None if it ignores this level."""
    logging = sys.modules.get("logging")
    if logging is None:
        return None
    logger: Logger = logging.getLogger(name)
    return logger if logger.isEnabledFor(level) else None
