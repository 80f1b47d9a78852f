"""The plan of a creation, which needs neither root nor a hypervisor."""

from dataclasses import replace

import pytest

from shctl.common.errors import Conflict, InvalidInput, NoSpace, ShctlError
from shctl.common.model import Change, Disk, HostDetail, Interface
from shctl.hosts.capacity import Memory
from shctl.hosts.creation_plan import plan_creation
from shctl.hosts.creation_state import CreationState
from shctl.hosts.request import Request
from shctl.hypervisor.inventory import Inventory
from shctl.install.media import InstallOptions
from shctl.xml import domain
from shctl.xml.domain import Hardware
from shctl.xml.metadata import OwnedVolume

UUID = "11111111-2222-4333-8444-555555555555"
REQUEST = Request(
    "web1",
    Hardware(memory=512, cpus=2, firmware="bios", virt_type="auto"),
    disks=(8, 100),
    networks=("vlan10", "vlan20"),
    pool="shctl",
)
STATE = CreationState(
    Inventory(
        domains={"other": True},
        networks={"vlan10": True, "vlan20": True, "off": False},
        pools={"shctl": True, "off": False},
    ),
    existing=None,
    memory=Memory(total=1024, used=512),
    has_kvm=True,
    uuid=UUID,
    now="2026-01-02T03:04:05Z",
    installation=None,
)
EXISTING = HostDetail(
    id=UUID,
    name="web1",
    state="running",
    reason=None,
    managed=True,
    memory=512,
    max_memory=512,
    cpus=2,
    max_cpus=2,
    firmware="bios",
    autostart=False,
    created=None,
    console=None,
    install=None,
    disks=(Disk("sda", 8.0, "/v/a", owned=True), Disk("sdb", 100.0, "/v/b", owned=True)),
    interfaces=tuple(
        Interface(name, "52:54:00:00:00:01", None, (), None, (), 0, "up")
        for name in REQUEST.networks
    ),
    virt_type="qemu",
)


def on(
    *, domains: dict[str, bool] | None = None, pools: dict[str, bool] | None = None
) -> CreationState:
    """Return the state with other domains or pools."""
    inventory = STATE.inventory
    if domains is not None:
        inventory = replace(inventory, domains=domains)
    if pools is not None:
        inventory = replace(inventory, pools=pools)
    return replace(STATE, inventory=inventory)


def steps(request: Request, state: CreationState = STATE) -> list[tuple[str, str]]:
    return [(step.action, step.target) for step in plan_creation(request, state).steps]


def test_target_lists_its_volumes_before_they_exist() -> None:
    target = plan_creation(REQUEST, STATE).target
    assert target.hardware == replace(REQUEST.hardware, virt_type="kvm")
    assert (target.disks, target.metadata.complete) == ((), False)
    assert target.metadata.volumes == (
        OwnedVolume("shctl", "web1-sda"),
        OwnedVolume("shctl", "web1-sdb"),
    )
    assert target.uuid == target.metadata.uuid == UUID
    assert f"<uuid>{UUID}</uuid>" in domain.build(target)


def test_steps_reserve_the_name_first_and_complete_the_host_last() -> None:
    assert steps(REQUEST) == [
        ("define", "host web1"),
        ("create", "volume web1-sda in pool shctl"),
        ("create", "volume web1-sdb in pool shctl"),
        ("create", "log /var/log/shctl/console/web1.log"),
        ("define", "host web1"),
        ("complete", "host web1"),
    ]


def test_start_and_autostart_are_steps() -> None:
    assert steps(replace(REQUEST, start=True, autostart=True))[-3:] == [
        ("autostart", "host web1"),
        ("start", "running host web1"),
        ("complete", "host web1"),
    ]


@pytest.mark.parametrize("location", [None, "http://a"])
def test_installation_starts_the_host(location: str | None) -> None:
    found = steps(replace(REQUEST, install=InstallOptions(location=location)))
    assert ("start", "running host web1") in found
    assert (("create", "boot files of web1") in found) == bool(location)


def test_everything_a_step_creates_is_rolled_back() -> None:
    plan = plan_creation(replace(REQUEST, start=True), STATE)
    kept = {step.description for step in plan.steps if step.undo is None}
    # These change the host that the first step defines and its rollback undefines.
    assert kept == {"Define host 'web1' with its disks.", "Mark host 'web1' as complete."}


def test_same_request_and_state_give_the_same_target() -> None:
    assert plan_creation(REQUEST, STATE).target == plan_creation(REQUEST, STATE).target


@pytest.mark.parametrize(("pools", "action"), [({}, "create"), ({"shctl": False}, "start")])
def test_default_pool_is_created_or_started(pools: dict[str, bool], action: str) -> None:
    assert steps(REQUEST, on(pools=pools))[0] == (action, "pool shctl")


@pytest.mark.parametrize(
    ("chosen", "has_kvm", "used"), [("auto", True, "kvm"), ("auto", False, "qemu"),
                                    ("kvm", True, "kvm"), ("qemu", True, "qemu")],
)  # fmt: skip
def test_virt_type(chosen: str, has_kvm: bool, used: str) -> None:
    request = replace(REQUEST, hardware=replace(REQUEST.hardware, virt_type=chosen))
    plan = plan_creation(request, replace(STATE, has_kvm=has_kvm))
    assert plan.target.hardware.virt_type == used


def test_identical_host_is_kept() -> None:
    state = replace(on(domains={"web1": True}), existing=EXISTING)
    assert steps(replace(REQUEST, if_not_exists=True), state) == []


def test_host_that_becomes_identical_is_kept() -> None:
    """What counts is how it starts next."""
    changes = (Change("memory", 512, "next start"), Change("cpus", 2, "next start"))
    differs = replace(EXISTING, memory=64, max_memory=64, cpus=1, max_cpus=4)
    request = replace(REQUEST, if_not_exists=True)
    for existing in (replace(differs, pending=changes), replace(EXISTING, max_cpus=4)):
        assert steps(request, replace(on(domains={"web1": True}), existing=existing)) == []
    with pytest.raises(Conflict, match="exists with different memory: 64, not 512"):
        plan_creation(request, replace(on(domains={"web1": True}), existing=differs))


@pytest.mark.parametrize(
    ("request_", "state", "error", "text"),
    [
        (REQUEST, on(domains={"web1": False}), Conflict, "already exists"),
        (
            replace(REQUEST, if_not_exists=True, disks=(8,)),
            replace(on(domains={"web1": False}), existing=EXISTING),
            Conflict,
            "exists with different disks: 8, 100, not 8",
        ),
        (replace(REQUEST, networks=("vlan1",)), STATE, InvalidInput, "did you mean 'vlan10'"),
        (replace(REQUEST, networks=("off",)), STATE, InvalidInput, "virsh net-start off"),
        (replace(REQUEST, pool="none"), STATE, InvalidInput, "no pool 'none'"),
        (replace(REQUEST, pool="off"), STATE, InvalidInput, "virsh pool-start off"),
        (
            replace(REQUEST, hardware=replace(REQUEST.hardware, virt_type="kvm")),
            replace(STATE, has_kvm=False),
            InvalidInput,
            "KVM is not usable",
        ),
        (
            replace(REQUEST, start=True),
            replace(STATE, memory=Memory(total=1000, used=512)),
            NoSpace,
            "1000 MiB, of which running hosts use 512 MiB",
        ),
        (
            REQUEST,
            replace(STATE, memory=Memory(total=500, used=None)),
            NoSpace,
            "needs 512 MiB, but this machine has 500 MiB; use --overcommit",
        ),
    ],
)
def test_errors(
    request_: Request, state: CreationState, error: type[ShctlError], text: str
) -> None:
    with pytest.raises(error, match=text):
        plan_creation(request_, state)


def test_host_that_is_not_started_may_have_any_size() -> None:
    assert steps(REQUEST, replace(STATE, memory=None))
