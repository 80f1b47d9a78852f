"""Wrapper around libvirt's networks."""

from contextlib import suppress
from typing import Any

from shctl.common import rows
from shctl.common.errors import Conflict, NotFound
from shctl.common.states import NetworkState
from shctl.hypervisor.binding import translated


class Network:
    """A network in libvirt."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name: str = handle.name()

    def _doing(self, verb: str) -> Any:
        return translated(f"cannot {verb} network {self.name!r}")

    @property
    def active(self) -> bool:
        """Return whether hosts can use the network now."""
        with self._doing("read"):
            return bool(self._handle.isActive())

    def row(self) -> rows.Network:
        """Return the network's row in the list of networks."""
        with self._doing("read"):
            return rows.Network(
                name=self.name,
                state=network_state(active=bool(self._handle.isActive())),
                autostart=yes_no(self._handle.isPersistent() and self._handle.autostart()),
                persistent=yes_no(self._handle.isPersistent()),
            )

    def xml(self) -> str:
        """Return the network's XML."""
        with self._doing("read"):
            return str(self._handle.XMLDesc())

    def start(self) -> None:
        """Make the network active."""
        with self._doing("start"):
            self._handle.create()

    def set_autostart(self) -> None:
        """Have libvirtd start the network when it starts itself."""
        with self._doing("set autostart of"):
            self._handle.setAutostart(1)

    def stop(self) -> None:
        """Make the network inactive, unless it already is or is gone."""
        with suppress(Conflict, NotFound), self._doing("stop"):
            self._handle.destroy()

    def undefine(self) -> None:
        """Remove the network, unless it is gone, as a transient one is when it stops."""
        with suppress(NotFound), self._doing("undefine"):
            self._handle.undefine()


def network_state(*, active: bool) -> NetworkState:
    """Return the state of a network."""
    return NetworkState.ACTIVE if active else NetworkState.INACTIVE


def yes_no(value: object) -> str:
    """Return "yes" or "no", as lists display a truth value."""
    return "yes" if value else "no"
