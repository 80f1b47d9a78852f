"""The connection to libvirt: how many calls it makes, and how it translates errors."""

import os
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from shctl.common.errors import Conflict, InvalidInput, NotFound, Unreachable
from shctl.hypervisor.connection import Hypervisor
from tests.support import URI, prepare

DOMAIN = "<domain type='test'><name>{}</name><memory>64</memory><os><type>hvm</type></os></domain>"
QEMU = DOMAIN.replace("'test'", "'qemu'")
NETWORK = "<network><name>{}</name><bridge name='b'/></network>"

Counted = tuple[Hypervisor, Counter[str]]


class Counting:
    """A libvirt object that counts the calls made on it and on the objects that it returns."""

    def __init__(self, wrapped: Any, calls: Counter[str]) -> None:
        self._wrapped, self._calls = wrapped, calls

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._wrapped, name)
        # These only read what came with the handle.
        if not callable(attribute) or name in ("name", "UUIDString", "isAlive"):
            return attribute
        return lambda *arguments: self._count(name, attribute(*arguments))

    def _count(self, name: str, result: Any) -> Any:
        self._calls[name] += 1
        return self._wrap(result)

    def _wrap(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(self._wrap(element) for element in value)
        from_libvirt = type(value).__module__ == "libvirt"
        return Counting(value, self._calls) if from_libvirt else value


@pytest.fixture
def counted() -> Iterator[Counted]:
    """Open libvirt's test driver, with one host and one network, and count the calls on it."""
    hypervisor = Hypervisor("test:///default")
    calls: Counter[str] = Counter()
    hypervisor._opened = Counting(hypervisor.connection, calls)
    yield hypervisor, calls
    # Otherwise the next test that opens this URI would see what was added here.
    hypervisor.close()


def fill(hypervisor: Hypervisor, hosts: int, networks: int) -> None:
    """Add hosts and networks.

    One by one: libvirt crashed while reading a file of them in a thread once lxml was loaded. Both
    use libxml2, whose file loader lxml replaces.
    """
    connection = hypervisor._opened._wrapped
    for number in range(hosts):
        connection.defineXML(DOMAIN.format(f"h{number}"))
    for number in range(networks):
        connection.networkDefineXML(NETWORK.format(f"n{number}"))


def test_calls_for_a_list_of_hosts_do_not_grow(counted: Counted) -> None:
    hypervisor, calls = counted
    assert len(hypervisor.hosts()) == 1
    few = calls.copy()
    fill(hypervisor, 999, 0)
    calls.clear()
    assert len(hypervisor.hosts()) == 1000
    assert calls == few == {"getAllDomainStats": 1}


def test_calls_for_a_list_of_networks_do_not_grow(counted: Counted) -> None:
    hypervisor, calls = counted
    assert len(hypervisor.networks()) == 1
    few = calls.copy()
    fill(hypervisor, 0, 39)
    calls.clear()
    assert len(hypervisor.networks()) == 40
    assert calls == few == {"listAllNetworks": 3}


def test_lists_are_sorted(counted: Counted) -> None:
    hypervisor, _ = counted
    fill(hypervisor, 12, 12)
    names = [host.name for host in hypervisor.hosts()]
    assert names == sorted(names)
    names = [network.name for network in hypervisor.networks()]
    assert names == sorted(names)


def test_domain_that_stops_while_the_names_are_read_is_listed() -> None:
    hypervisor = Hypervisor("test:///default")
    connection = hypervisor.connection
    try:
        assert hypervisor.active_domains() == {"test": True}

        def stop_after_list(flags: int) -> Any:
            found = connection.listAllDomains(flags)
            for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
                domain.destroy()
            return found

        hypervisor._opened = SimpleNamespace(
            isAlive=connection.isAlive, listAllDomains=stop_after_list
        )
        assert hypervisor.active_domains() == {"test": False}
    finally:
        hypervisor._opened = connection
        hypervisor.close()


@pytest.fixture
def real() -> Hypervisor:
    return Hypervisor(URI)


@pytest.mark.hypervisor
@pytest.mark.parametrize("kind", ["domain", "network", "pool"])
def test_missing_objects(kind: str, real: Hypervisor) -> None:
    with pytest.raises(NotFound, match="'nowhere'"):
        getattr(real, kind)("nowhere")


@pytest.mark.hypervisor
def test_error_suggests_the_nearest_name(real: Hypervisor) -> None:
    prepare()
    with pytest.raises(NotFound, match="no network 'vlan1o'; did you mean 'vlan10'"):
        real.network("vlan1o")
    with pytest.raises(NotFound, match="no pool 'shclt'; did you mean 'shctl'"):
        real.pool("shclt")


@pytest.mark.hypervisor
def test_name_that_is_taken_is_a_conflict(real: Hypervisor) -> None:
    xml = QEMU.format("taken")
    host = real.define(xml)
    try:
        with pytest.raises(Conflict, match="already exists"):
            real.define(xml)
    finally:
        host.undefine(nvram=True)


@pytest.mark.hypervisor
def test_wrong_xml_is_invalid_input(real: Hypervisor) -> None:
    with pytest.raises(InvalidInput):
        real.define("<domain")


@pytest.mark.hypervisor
@pytest.mark.parametrize(
    "uri", ["qemu:///system?socket=/nowhere", "nonsense:///", "qemu+frob:///system", "::"]
)
def test_unreachable(uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unreachable, match="cannot reach libvirt at"):
        Hypervisor(uri).hosts()
    assert capfd.readouterr().err == "", "libvirt printed by itself"


@pytest.mark.hypervisor
def test_removal_of_a_missing_domain_succeeds(real: Hypervisor) -> None:
    xml = QEMU.format("gone")
    host = real.define(xml)
    host.undefine(nvram=True)
    host.undefine(nvram=True)
    host.destroy()
    with pytest.raises(NotFound):
        _ = host.state


def test_states_are_named_as_in_virsh(real: Hypervisor) -> None:
    """Check shctl's names against libvirt's constants."""
    from shctl.hypervisor.state_names import domain_state

    words = {
        libvirt.VIR_DOMAIN_RUNNING: "running",
        libvirt.VIR_DOMAIN_BLOCKED: "idle",
        libvirt.VIR_DOMAIN_PAUSED: "paused",
        libvirt.VIR_DOMAIN_SHUTDOWN: "in shutdown",
        libvirt.VIR_DOMAIN_SHUTOFF: "shut off",
        libvirt.VIR_DOMAIN_CRASHED: "crashed",
        libvirt.VIR_DOMAIN_PMSUSPENDED: "pmsuspended",
    }
    assert {state: domain_state(state, 0) for state in words} == words
    assert domain_state(libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED) == "crashed"


def test_connection_is_not_opened_before_it_is_needed() -> None:
    assert "connection" not in Hypervisor("nonsense:///").__dict__


@pytest.mark.hypervisor
def test_kvm_is_reported_only_if_usable(real: Hypervisor) -> None:
    assert real.has_kvm() == os.access("/dev/kvm", os.R_OK | os.W_OK)
