"""Run a command for several names: go on after errors, then report them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from shctl.common.errors import Several, ShctlError

T = TypeVar("T")
_SIGNALS = 0.2  # seconds


def for_each(
    names: Iterable[str], act: Callable[[str], T], *, concurrently: bool = False
) -> list[T]:
    """Call a function for each name, and go on after errors.

    `concurrently` is for functions that mostly wait. Raises the error itself for a single name,
    Several for more.
    """
    # Without duplicates, in the order given.
    unique = list(dict.fromkeys(names))
    results: dict[str, T | Exception] = dict.fromkeys(unique, ShctlError("not done"))

    def run(name: str) -> None:
        try:
            results[name] = act(name)
        except Exception as error:  # unexpected ones too: a thread would lose them
            results[name] = error

    _run_all([partial(run, name) for name in unique], concurrently=concurrently and len(unique) > 1)
    failures = [result for result in results.values() if isinstance(result, Exception)]
    for failure in failures:
        if len(unique) == 1 or not isinstance(failure, ShctlError):
            raise failure
    done = [result for result in results.values() if not isinstance(result, Exception)]
    if failures:
        raise Several([f for f in failures if isinstance(f, ShctlError)], list(done))
    return done


def check_each(names: Iterable[str], check: Callable[[str], T | None]) -> list[T]:
    """Return the results of a check of each name; if one fails, raise without results."""
    try:
        return [result for result in for_each(names, check) if result is not None]
    except Several as error:
        raise Several(error.failures, []) from error


def _run_all(functions: list[Callable[[], None]], *, concurrently: bool) -> None:
    if not concurrently:
        for function in functions:
            function()
        return
    import threading

    # Daemon threads, so Ctrl-C does not wait for them.
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        # Not without a limit: Python handles a signal that arrives right before only afterwards.
        while thread.is_alive():
            thread.join(_SIGNALS)
