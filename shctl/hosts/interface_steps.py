"""The steps that change interfaces of running hosts, and how each is rolled back.

An interface is plugged in without a link, and gets it only after its port has been checked. To
unplug one, the guest has to release it.
"""

from __future__ import annotations

from dataclasses import dataclass

from shctl.common.errors import Conflict
from shctl.common.rollback import Rollback
from shctl.hosts import power
from shctl.hosts.change_steps import ChangeSteps
from shctl.hosts.interface_state import Found
from shctl.networks import ports
from shctl.xml import domain, interface_edits
from shctl.xml.interfaces import LINK_DOWN, InterfaceRow

# Seconds after the five that libvirt itself waits; Linux needs less than one.
UNPLUG_TIMEOUT = 5.0


@dataclass(frozen=True)
class Plugged:
    """An interface as it was plugged in: the XML to repeat that, and its link."""

    device: str
    link: str


def plug_stored(change: ChangeSteps, interface: Found) -> None:
    """Plug an interface of the stored definition in, without a link."""
    device = interface_edits.device(change.definition, interface.mac, LINK_DOWN)
    _plug(change, interface, device)


def _plug(change: ChangeSteps, interface: Found, device: str) -> None:
    host, hypervisor = change.host, change.hypervisor
    others = ports.remove_stale(hypervisor, host)
    ports.check_free(host, others)
    with Rollback() as undo:
        # If ovs-vswitchd is down, libvirt fails and leaves the port's row.
        undo.push(f"ports of {host.name}", lambda: ports.remove_stale(hypervisor, host))
        # After an interrupt libvirt may have plugged it in nevertheless.
        undo.push(str(interface), lambda: unplug(change, interface))
        power.ask_qemu(host, lambda: host.attach(device))


def check(change: ChangeSteps, interface: Found) -> None:
    """Raise Conflict unless the port of a plugged interface carries exactly its VLANs."""
    if not _find(change, interface):
        raise Conflict(f"host {change.host.name!r} stopped meanwhile; try again")
    if problem := ports.find_wrong(change.hypervisor, change.host, mac=interface.mac):
        raise Conflict(f"{interface} must not have a link: {problem}")


def set_link(change: ChangeSteps, interface: Found, link: str) -> None:
    """Set the link of a plugged interface; raise Conflict if it must not be up."""
    if link == LINK_DOWN:
        _update(change, interface, link)
        return
    check(change, interface)
    with Rollback() as undo:
        undo.push(f"link of {interface}", lambda: _update(change, interface, LINK_DOWN))
        _update(change, interface, link)
        # Again: libvirt 11 clears the tag of a port in some updates of its interface.
        check(change, interface)


def _update(change: ChangeSteps, interface: Found, link: str) -> None:
    host = change.host
    device = interface_edits.device(host.xml(), interface.mac, link)
    power.ask_qemu(host, lambda: host.update(device))


def restore_link(change: ChangeSteps, interface: Found, link: str) -> None:
    """Set the link again that a plugged interface had; nothing if the host has stopped."""
    if _find(change, interface):
        set_link(change, interface, link)


def unplug(change: ChangeSteps, interface: Found) -> None:
    """Unplug an interface, unless it is unplugged; raise Conflict if the guest keeps it."""
    if not (row := _find(change, interface)):
        return
    host = change.host
    device = interface_edits.device(host.xml(), interface.mac, row.link)
    power.ask_qemu(host, lambda: host.detach(device))
    if not power.wait_until(
        lambda: not _find(change, interface), UNPLUG_TIMEOUT, cancellable=False
    ):
        raise Conflict(
            f"the guest does not release {interface}: it hangs, has not booted, or does not"
            " support PCI hot-plug; shut the host down, then repeat the command. If the guest"
            " releases it later, it gets it back at the next start"
        )


def unplug_or_restore(change: ChangeSteps, interface: Found, was: Plugged) -> None:
    """Unplug an interface; if that fails although it was released, plug it in again."""
    with Rollback() as undo:
        undo.push(str(interface), lambda: replug(change, interface, was))
        unplug(change, interface)


def replug(change: ChangeSteps, interface: Found, was: Plugged) -> None:
    """Plug an interface in again as it was, unless it is plugged in or the host has stopped."""
    if not change.host.active or _find(change, interface):
        return
    _plug(change, interface, was.device)
    set_link(change, interface, was.link)


def _find(change: ChangeSteps, interface: Found) -> InterfaceRow | None:
    """Return an interface of a running host; None if it is not plugged in, or the host is off."""
    info = domain.read(change.host.xml())
    rows = info.interfaces if info.active else ()
    return next((row for row in rows if row.mac == interface.mac), None)
