"""Data without an end: what happens, or what is appended to a log."""

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Generic, TypeVar

T = TypeVar("T")


class Stream(Generic[T]):
    """A stream of items. The command line iterates over it; the server takes what there is.

    `interval` is how often to check for items that cause no call, in seconds. `blocks` says that
    take() reads files or asks libvirt, and so needs a thread.
    """

    media_type = "text/plain; charset=utf-8"
    interval: float | None = None
    blocks = False

    def take(self) -> Sequence[T] | None:
        """Return the items since the last call without waiting; None at the end."""
        raise NotImplementedError

    def on_change(self, _wake: Callable[[], object]) -> Callable[[], object]:
        """Call a function when there may be items; return one that ends this."""
        return lambda: None

    def close(self) -> None:
        """Release what the stream holds."""

    def __iter__(self) -> Iterator[T]:
        """Yield items, and wait for more."""
        changed = Event()
        end = self.on_change(changed.set)
        try:
            while (items := self.take()) is not None:
                yield from items
                if not items:
                    changed.wait(self.interval)
                    changed.clear()
        finally:
            end()
            self.close()
