"""What a person sees of a host while a command waits for it: state, phase, and last line."""

from collections.abc import Iterable
from dataclasses import replace

from shctl.common.errors import NotFound, ShctlError
from shctl.common.observation import Observation
from shctl.common.states import Phase
from shctl.hosts.console_tail import Tail, tail
from shctl.hypervisor.connection import Hypervisor
from shctl.xml import domain
from shctl.xml.metadata import Installation


class Observer:
    """Observes hosts again and again; `before` says what a host is until it is complete."""

    def __init__(
        self, hypervisor: Hypervisor, names: Iterable[str], before: str | None = None
    ) -> None:
        self._hypervisor = hypervisor
        self._names = list(dict.fromkeys(names))
        self._before = before
        # Kept, because each remembers what it has read.
        self._logs: dict[tuple[str, str | None, bool], Tail | None] = {}

    def __call__(self) -> list[Observation]:
        """Return what is seen of each host; never raise because of its state."""
        return [self._observe(name) for name in self._names]

    def _observe(self, name: str) -> Observation:
        try:
            host = self._hypervisor.domain(name)
            # QEMU's monitor is busy, which makes libvirt 11 wait in the next call.
            if host.hung:
                return Observation(name, "QEMU does not respond")
            info = domain.read(host.xml())
            seen = Observation(name, host.state)
        except NotFound:
            return Observation(name, self._before or "not defined", exists=False)
        except ShctlError:  # libvirtd may be restarting
            return Observation(name, "no answer from libvirt")
        if info.metadata and not info.metadata.complete:
            return Observation(name, self._before or "incomplete")
        if info.metadata and info.metadata.install:
            seen = _with_installation(seen, info.metadata.install)
        # The log of a host that is off does not say what it does.
        return self._with_console(seen, info) if info.active else seen

    def _with_console(self, seen: Observation, info: domain.DomainInfo) -> Observation:
        key = seen.name, info.console, info.installer
        if key not in self._logs:
            self._logs[key] = tail(info.console, seen.name, installer=info.installer)
        log = self._logs[key]
        if log is None or not log.update():
            return seen
        return replace(seen, step=log.step, line=log.line, silence=log.silence)


def _with_installation(seen: Observation, install: Installation) -> Observation:
    if not install.open:
        return replace(seen, phase=install.phase)
    return replace(seen, phase=Phase.INSTALLING, left=install.seconds_left)
