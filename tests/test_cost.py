"""The cost of commands, measured without a clock: calls, processes, imports."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import libvirt
import pytest

from shctl.hosts import creation, deletion, details, power, status, stopping
from shctl.hosts.request import Request
from shctl.hypervisor import definitions
from shctl.hypervisor.connection import Hypervisor
from shctl.networks import manage, openvswitch
from shctl.xml.domain import Hardware
from tests.support import URI, create, environment, modules_after, ok, prepare

# These read the handle's own data, free it, or run the event loop.
LOCAL = {
    "virDomainGetName", "virDomainGetUUIDString", "virDomainGetConnect", "virNetworkGetName",
    "virStoragePoolGetName", "virStorageVolGetName", "virConnectIsAlive", "virGetLastError",
    "virDomainFree", "virNetworkFree", "virStoragePoolFree", "virStorageVolFree",
    "virEventRunDefaultImpl",
}  # fmt: skip


class Counting:
    """The binding's module, counting the calls that reach the daemon."""

    def __init__(self, wrapped: Any, calls: Counter[str]) -> None:
        self._wrapped, self._calls = wrapped, calls

    def __getattr__(self, name: str) -> Any:
        if name not in LOCAL:
            self._calls[name] += 1
        return getattr(self._wrapped, name)


@pytest.fixture
def hypervisor() -> Hypervisor:
    prepare()
    found = Hypervisor(URI)
    assert found.connection
    return found


@pytest.fixture
def calls(hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how often each call has been made on a connection that was open before."""
    found: Counter[str] = Counter()
    monkeypatch.setattr(libvirt, "libvirtmod", Counting(libvirt.libvirtmod, found))
    return found


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the arguments of each ovs-vsctl that has been run."""
    found: list[list[str]] = []
    run = openvswitch._vsctl

    def noted(*arguments: str, **options: int) -> str:
        found.append([*arguments])
        return run(*arguments, **options)

    monkeypatch.setattr(openvswitch, "_vsctl", noted)
    return found


@pytest.fixture
def host() -> Any:
    """Create an inactive host."""
    prepare()
    ok(*"hosts create --memory 64 --disk 1 --network vlan10 counted".split())
    yield "counted"
    ok("hosts", "delete", "--yes", "counted")


@pytest.mark.hypervisor
def test_lists(hypervisor: Hypervisor, calls: Counter[str]) -> None:
    hypervisor.hosts()
    assert calls == {"virConnectGetAllDomainStats": 1}
    calls.clear()
    hypervisor.networks()
    assert calls == {"virConnectListAllNetworks": 3}


@pytest.mark.hypervisor
def test_show_of_an_inactive_host(
    host: str, hypervisor: Hypervisor, calls: Counter[str], processes: list[list[str]]
) -> None:
    details.show(hypervisor, host)
    assert calls == {
        "virDomainLookupByName": 1, "virDomainGetXMLDesc": 1, "virDomainGetState": 1,
        "virDomainGetAutostart": 1, "virStorageVolLookupByPath": 1, "virStorageVolGetInfo": 1,
        "virNetworkLookupByName": 1, "virNetworkGetXMLDesc": 1,
    }  # fmt: skip
    assert processes == []


@pytest.mark.hypervisor
def test_status(
    host: str, hypervisor: Hypervisor, calls: Counter[str], processes: list[list[str]]
) -> None:
    """One call for each running host, each network, and each pool's numbers and XML."""
    power.start(hypervisor, host)
    calls.clear()
    processes.clear()
    status.collect(hypervisor)
    networks, pools = len(hypervisor.networks()), len(hypervisor.pools())
    assert calls["virDomainGetInfo"] == 1
    assert calls["virNetworkGetXMLDesc"] == networks
    assert calls["virStoragePoolGetXMLDesc"] == calls["virStoragePoolGetInfo"] == pools
    assert calls["virDomainGetXMLDesc"] == 0
    assert len(processes) <= 3  # the third only if the switch has stored no version


@pytest.mark.hypervisor
def test_creation_of_a_host_that_starts(
    hypervisor: Hypervisor, calls: Counter[str], processes: list[list[str]]
) -> None:
    hardware = Hardware(memory=64, cpus=1, firmware="bios", virt_type="qemu")
    request = Request("counted", hardware, (1,), ("vlan10",), "shctl", start=True)
    creation.create(hypervisor, request, lambda *_: None)
    try:
        # The state is read once: two calls for each list, and one for the memory in use.
        assert calls["virConnectListAllDomains"] <= 2 + 1 + 1  # power_on reads the inactive ones
        assert calls["virStoragePoolListAllVolumes"] == 0, "it lists volumes to see one is new"
        assert calls.total() <= 30, dict(calls)
        # Rows of dead hosts before the start, the host's own ports after it.
        assert len(processes) == 2
    finally:
        ok("hosts", "delete", "--yes", "counted")


@pytest.mark.hypervisor
def test_start_and_stop(
    host: str, hypervisor: Hypervisor, calls: Counter[str], processes: list[list[str]]
) -> None:
    power.start(hypervisor, host)
    assert calls.total() <= 9, dict(calls)
    assert len(processes) == 2
    calls.clear()
    stopping.stop(hypervisor, host, force=True)
    assert calls.total() <= 5, dict(calls)


@pytest.mark.hypervisor
def test_deletion_of_several_hosts_reads_each_host_once(
    hypervisor: Hypervisor, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "AGE_PER_DOMAIN", 3600)
    names = [f"counted{number}" for number in range(6)]
    for name in names:
        create(name)
    calls.clear()
    several = deletion.BulkDeletion(hypervisor)
    for name in names[:3]:
        assert several.delete(name).result == "deleted"
    # Each host once for its disks' users; each deleted one twice more, under its lock.
    assert calls["virDomainGetXMLDesc"] <= 6 + 2 * 3, dict(calls)
    assert calls["virConnectListAllDomains"] <= 3 * 8, dict(calls)
    ok("hosts", "delete", "--yes", *names[3:])


@pytest.mark.hypervisor
def test_show_of_a_network_asks_each_host_at_most_twice(
    host: str, hypervisor: Hypervisor, calls: Counter[str]
) -> None:
    manage.show(hypervisor, "vlan10")
    assert calls["virDomainGetXMLDesc"] <= 2 * len(hypervisor.hosts()) + 1


def own_modules(modules: set[str]) -> set[str]:
    return {name.removeprefix("shctl.") for name in modules if name.startswith("shctl.")}


CLI = {
    "cli", "cli.main", "cli.streams", "commands", "commands.base", "commands.completion",
    "commands.option_kinds", "commands.session", "commands.settings", "commands.types", "common",
    "common.errors", "common.names", "common.paths", "common.signals", "common.text",
}  # fmt: skip


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_only_click(option: str) -> None:
    alone = subprocess.run(
        [sys.executable, "-c", "import click, sys; print(sorted(sys.modules))"],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = modules_after(option)
    assert own_modules(found) <= CLI
    # What click itself imports during use.
    allowed = {"locale", "_locale", "gettext", "textwrap", "shutil", "fnmatch", "zlib", "bz2",
               "_bz2", "lzma", "_lzma", "_compression", "click", "shctl", "gc", "atexit",
               "pwd", "grp", "signal", "__future__"}  # fmt: skip
    more = found - set(ast.literal_eval(alone.stdout)) - allowed
    assert {name for name in more if name.split(".")[0] not in ("click", "shctl")} == set()


def test_list_of_hosts_imports_only_its_own_modules() -> None:
    found = modules_after("--connect", "test:///default", "hosts", "list")
    assert own_modules(found) == {
        *CLI, "commands.batch", "commands.confirmation", "commands.hosts",
        "commands.host_creation", "commands.host_console", "commands.host_list",
        "commands.host_power",
        "commands.install_options",
        "commands.list_types", "commands.option_defaults", "commands.option_groups",
        "commands.vlan_types", "common.debug_log", "common.defaults",
        "common.layout", "common.output", "common.rows", "hosts", "hosts.listing", "hypervisor.arp",
        "hypervisor.shared_events", "hypervisor.stored_xml", "networks", "networks.listing",
        "xml", "xml.summary",
        "common.states", "common.timeout", "hypervisor", "hypervisor.binding",
        "hypervisor.connection", "hypervisor.domain", "hypervisor.network", "hypervisor.pools",
        "hypervisor.reconnecting", "hypervisor.state_names",
    }  # fmt: skip


def test_creation_without_installation_does_not_import_install(tmp_path: Path) -> None:
    code = "import sys, shctl.hosts.creation; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True,
        check=True, cwd=tmp_path,
    )  # fmt: skip
    found = set(ast.literal_eval(done.stdout))
    heavy = {"shctl.install.media", "shctl.install.trees", "urllib3", "tempfile", "configparser"}
    assert found & heavy == set()
