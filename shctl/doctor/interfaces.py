"""Find interfaces of running hosts that an interrupted change left without a link."""

from contextlib import suppress
from functools import partial

from shctl.common.errors import NotFound
from shctl.common.model import Finding
from shctl.doctor.snapshot import Found, read_info, recheck_locked, take_snapshot
from shctl.hosts import pending
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.xml import domain
from shctl.xml.interfaces import LINK_DOWN, LINK_UP


def without_link(hypervisor: Hypervisor) -> Found:
    """Find interfaces that run without a link and are defined with one, or not at all."""
    for host, _, _ in take_snapshot(hypervisor).managed:
        with suppress(NotFound):  # deleted meanwhile
            for index, problem in _unfinished(host).items():
                if recheck_locked(host.name, partial(_is_unfinished, host, index)):
                    # No automatic fix: somebody may have set the link down on purpose.
                    yield Finding("host", host.name, problem, _remedy(host, index, problem)), None


def _unfinished(host: Domain) -> dict[int, str]:
    """Return what is wrong with interfaces of a running host, by their indexes."""
    if not host.active or not host.persistent or host.hung:
        return {}
    running, stored = domain.read(host.xml()), read_info(host)
    links = {row.mac: row.link for row in stored.interfaces}
    indexes = pending.interface_indexes(host.name, running, stored)
    found = {}
    for row in running.interfaces:
        if row.link == LINK_DOWN and links.get(row.mac, LINK_UP) == LINK_UP:
            what = "and is defined with one" if row.mac in links else "and is not in its definition"
            found[indexes[row.mac]] = f"its interface {indexes[row.mac]} has no link, {what}"
    return found


def _is_unfinished(host: Domain, index: int) -> bool:
    return index in _unfinished(host)


def _remedy(host: Domain, index: int, problem: str) -> str:
    command = f"shctl hosts interfaces {{}} {host.name} {index}"
    if problem.endswith("one"):
        return f"check why, then '{command.format('set')} --link up'"
    return f"'{command.format('remove')}'"
