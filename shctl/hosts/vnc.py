"""Find the address of a host's screen."""

from dataclasses import dataclass
from typing import ClassVar

from shctl.common.errors import Conflict
from shctl.hypervisor.connection import Hypervisor
from shctl.xml import domain

FIRST_PORT = 5900  # of display 0
MOST_DISPLAYS = 100  # TigerVNC and others take a larger number for a port


@dataclass(frozen=True, slots=True)
class VncAddress:
    """The address of a host's screen as host:port, and as VNC viewers take it."""

    columns: ClassVar[tuple[str, ...]] = ("address", "display")
    address: str
    display: str

    @property
    def name(self) -> str:
        """Return what `-o name` prints."""
        return self.display


def find(hypervisor: Hypervisor, name: str) -> VncAddress:
    """Return the address of a host's VNC server; raise NotFound, or Conflict if it has none."""
    host = hypervisor.domain(name)
    info = domain.read(host.xml())
    if info.vnc:
        return VncAddress(info.vnc, display(info.vnc))
    if not info.active:
        raise Conflict(
            f"host {name!r} is {host.state} and has a VNC server only while it is on; start it"
            f" with 'shctl hosts start {name}'"
        )
    raise Conflict(f"host {name!r} has no VNC server on a TCP port; use 'shctl hosts screenshot'")


def display(address: str) -> str:
    """Return host:port as viewers take it: HOST:DISPLAY, or HOST::PORT for other ports."""
    host, _, port = address.rpartition(":")
    number = int(port) - FIRST_PORT
    return f"{host}:{number}" if 0 <= number < MOST_DISPLAYS else f"{host}::{port}"
