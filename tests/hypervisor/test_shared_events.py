"""Several callbacks for events of the same kind."""

from collections.abc import Callable
from typing import Any

from shctl.hypervisor.shared_events import SharedEvents


class Connection:
    """A connection that, like libvirt's, takes one callback for each kind of event."""

    def __init__(self) -> None:
        self.callbacks: dict[tuple[str, int], Callable[..., object]] = {}

    def domainEventRegisterAny(self, _: Any, kind: int, call: Any, opaque: Any) -> int:  # noqa: N802
        return self._register(("domain", kind), call, opaque)

    def networkEventRegisterAny(self, _: Any, kind: int, call: Any, opaque: Any) -> int:  # noqa: N802
        return self._register(("network", kind), call, opaque)

    def domainEventDeregisterAny(self, number: int) -> None:  # noqa: N802
        del self.callbacks["domain", number]

    def networkEventDeregisterAny(self, number: int) -> None:  # noqa: N802
        del self.callbacks["network", number]

    def _register(self, key: tuple[str, int], call: Any, _opaque: Any) -> int:
        assert key not in self.callbacks
        self.callbacks[key] = call
        return key[1]


def test_one_callback_for_each_kind() -> None:
    connection = Connection()
    events = SharedEvents(connection)
    seen: list[tuple[str, Any]] = []
    ends = [
        events.on_domain(0, lambda event: seen.append(("first", event))),
        events.on_domain(0, lambda event: seen.append(("second", event))),
        events.on_domain(1, lambda event: seen.append(("other", event))),
        events.on_network(0, lambda event: seen.append(("network", event))),
    ]
    connection.callbacks["domain", 0]("a")
    connection.callbacks["network", 0]("b")
    assert seen == [("first", "a"), ("second", "a"), ("network", "b")]
    ends[0]()
    connection.callbacks["domain", 0]("c")
    assert seen[3:] == [("second", "c")]
    for end in ends[1:]:
        end()
    # libvirt does not close a connection that has callbacks.
    assert connection.callbacks == {}
    events.on_domain(0, lambda _: None)
    assert list(connection.callbacks) == [("domain", 0)]
