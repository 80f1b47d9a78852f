"""Random sequences of operations and faults on the real hypervisor, compared with a model.

The model predicts each command's exit code and the resulting state. Commands run in this process,
since starting a new one for each step would take most of the time.
"""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shctl.cli.main import root
from tests.kill_points import Forker, forker
from tests.scoreboard import Figures, rounds
from tests.support import connected, daemon, define, eventually, prepare, qemu_pid

pytestmark = pytest.mark.hypervisor

Snapshot = Callable[[], set[tuple[str, str]]]
HOSTS = st.sampled_from(["a", "b", "c"])
NETWORKS = st.sampled_from(["net1", "net2"])
STEPS = 15
ACTIVE = ("running", "paused")
BARE = "<domain type='qemu'><name>{}</name><memory>65536</memory><os><type>hvm</type></os></domain>"


@dataclass(frozen=True)
class Hardware:
    """What a host starts with, or what its QEMU has."""

    memory: int = 64
    cpus: int = 1
    max_cpus: int = 1


@dataclass
class Host:
    """The model of a host; a foreign one is not managed and has no network."""

    state: str
    managed: bool = True
    network: str = ""
    stored: Hardware = field(default_factory=Hardware)
    running: Hardware = field(default_factory=Hardware)
    autostart: bool = False
    disks: dict[str, int] = field(default_factory=dict)
    interfaces: dict[int, str] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    def start(self) -> None:
        """Start, or resume with the hardware that QEMU has."""
        if not self.active:
            self.running = self.stored
        self.state = "running"

    def set_cpus(self, number: int) -> None:
        """Store a number of processors, and add them to a running QEMU that has the room."""
        self.stored = replace(self.stored, cpus=number, max_cpus=max(number, self.stored.max_cpus))
        if self.active and self.running.cpus < number <= self.running.max_cpus:
            self.running = replace(self.running, cpus=number)

    def pending(self) -> dict[str, int]:
        """Return what the next start of a running host changes."""
        pairs = {
            "memory": (self.running.memory, self.stored.memory),
            "cpus": (self.running.cpus, self.stored.cpus),
        }
        return {k: new for k, (old, new) in pairs.items() if self.active and old != new}


class Machine:
    """Operations and faults on the real hypervisor, and the model of its state."""

    def __init__(self, killer: Forker) -> None:
        self.killer = killer
        self.hosts: dict[str, Host] = {}
        self.networks: set[str] = set()
        self.came_back = False

    def run(self, words: str, code: int = 0) -> Any:
        """Run a command, which must end with this code; return its data."""
        done = CliRunner().invoke(root, ["-o", "json", *words.split()])
        assert done.exit_code == code, (words, code, done.output)
        return json.loads(done.output) if done.output and not code else None

    def missing(self, name: str) -> int:
        """Return the expected exit code of a command on a host that may be missing."""
        return 0 if name in self.hosts else 3

    def expected_creation(self, name: str, network: str) -> int:
        if network not in self.networks:
            return 2
        return 4 if name in self.hosts else 0

    def create(self, name: str, network: str, start: bool) -> None:
        code = self.expected_creation(name, network)
        self.run(creation(name, network, start), code)
        if not code:
            self.hosts[name] = created(network, start)

    def define_foreign(self, name: str) -> None:
        if name not in self.hosts:
            define(BARE.format(name))
            self.hosts[name] = Host("shut off", managed=False)

    def adopt(self, name: str) -> None:
        host = self.hosts.get(name)
        self.run(f"hosts adopt {name}", 4 if host and host.managed else self.missing(name))
        if host:
            host.managed = True

    def start(self, name: str) -> None:
        self.run(f"hosts start {name}", self.missing(name))
        if name in self.hosts:
            self.hosts[name].start()

    def stop(self, name: str) -> None:
        self.run(f"hosts stop {name} --force", self.missing(name))
        if name in self.hosts and self.hosts[name].active:
            self.hosts[name].state = "shut off"

    def reboot(self, name: str) -> None:
        host = self.hosts.get(name)
        self.run(
            f"hosts reboot {name} --force", 4 if host and not host.active else self.missing(name)
        )

    def expected_change(self, name: str) -> int:
        return 4 if name in self.hosts and not self.hosts[name].managed else self.missing(name)

    def set_values(self, name: str, memory: int, cpus: int, autostart: bool) -> None:
        code = self.expected_change(name)
        words = f"--memory {memory} --cpus {cpus} --{'' if autostart else 'no-'}autostart"
        before = asdict(self.hosts[name].stored) if not code else {}
        done = self.run(f"hosts set {name} {words}", code)
        if not code:
            host = self.hosts[name]
            changed = {row["key"]: row["applied"] for row in done["changes"]}
            assert ("memory" in changed) == (before["memory"] != memory)
            assert ("autostart" in changed) == (host.autostart != autostart)
            host.stored, host.autostart = replace(host.stored, memory=memory), autostart
            host.set_cpus(cpus)

    def is_adopted(self, name: str) -> bool:
        """Return whether a host is one of another program, whose devices are not modelled."""
        host = self.hosts.get(name)
        return host is not None and host.managed and not host.network

    def add_disk(self, name: str, size: int) -> None:
        """Add a disk with the first free name, also while the host runs."""
        if self.is_adopted(name):
            return
        added = self.run(f"hosts disks add {name} --size {size}", self.expected_change(name))
        if added:
            free = next(f"sd{x}" for x in "abcdefgh" if f"sd{x}" not in self.hosts[name].disks)
            applied = "now" if self.hosts[name].active else "next start"
            assert (added["name"], added["applied"]) == (free, applied)
            self.hosts[name].disks[free] = size

    def expected_disk(self, name: str, disk: str) -> int:
        code = self.expected_change(name)
        return code or (0 if disk in self.hosts[name].disks else 3)

    def resize_disk(self, name: str, disk: str, size: int) -> None:
        if self.is_adopted(name):
            return
        code = self.expected_disk(name, disk)
        if not code and size < self.hosts[name].disks[disk]:
            code = 2
        self.run(f"hosts disks resize {name} {disk} --size {size}", code)
        if not code:
            self.hosts[name].disks[disk] = size

    def remove_disk(self, name: str, disk: str) -> None:
        """Remove a disk; the first one of a running host stays."""
        if self.is_adopted(name):
            return
        code = self.expected_disk(name, disk)
        if not code and self.hosts[name].active and disk == min(self.hosts[name].disks):
            code = 4
        self.run(f"hosts disks remove --yes {name} {disk}", code)
        if not code:
            del self.hosts[name].disks[disk]

    def add_interface(self, name: str, network: str) -> None:
        """Add an interface with the lowest free index, also while the host runs."""
        if self.is_adopted(name):
            return
        code = self.expected_change(name) or (0 if network in self.networks else 2)
        added = self.run(f"hosts interfaces add {name} --network {network}", code)
        if added:
            interfaces = self.hosts[name].interfaces
            assert added["index"] == next(n for n in range(9) if n not in interfaces)
            interfaces[added["index"]] = network

    def move_interface(self, name: str, index: int, network: str) -> None:
        """Move an interface of a host that is off; no guest of this test releases a device."""
        if self.is_adopted(name) or (name in self.hosts and self.hosts[name].active):
            return
        code = self.expected_change(name) or (0 if network in self.networks else 2)
        code = code or (0 if index in self.hosts[name].interfaces else 3)
        self.run(f"hosts interfaces set {name} {index} --network {network}", code)
        if not code:
            self.hosts[name].interfaces[index] = network

    def remove_interface(self, name: str, index: int) -> None:
        if self.is_adopted(name) or (name in self.hosts and self.hosts[name].active):
            return
        code = self.expected_change(name)
        code = code or (0 if index in self.hosts[name].interfaces else 3)
        self.run(f"hosts interfaces remove {name} {index}", code)
        if not code:
            del self.hosts[name].interfaces[index]

    def kill_change(self, name: str, memory: int, point: int) -> None:
        """The definition is the old or the new one, and nothing is left behind."""
        died = self.killer.run(*f"hosts set {name} --memory {memory}".split(), kill_at=point) < 0
        assert not died or not self.expected_change(name)
        if not self.expected_change(name):
            self.hosts[name].stored = replace(self.hosts[name].stored, memory=memory)

    def delete(self, name: str) -> None:
        host = self.hosts.get(name)
        code = 4 if host and not host.managed else self.missing(name)
        self.run(f"hosts delete --yes {name}", code)
        if not code:
            del self.hosts[name]

    def pause(self, name: str) -> None:
        if name in self.hosts and self.hosts[name].active:
            with connected() as connection:
                connection.lookupByName(name).suspend()
            self.hosts[name].state = "paused"

    def kill_qemu(self, name: str) -> None:
        if name in self.hosts and self.hosts[name].active:
            host = self.hosts[name]
            os.kill(qemu_pid(name), signal.SIGKILL)
            eventually(lambda: self.states()[name] not in ACTIVE)
            host.state = self.states()[name]
            # A restarting libvirtd does not know why its QEMU ended.
            assert host.state in (("crashed", "shut off") if self.came_back else ("crashed",))

    def create_network(self, network: str) -> None:
        words = f"networks create {network} --bridge br0 --vlan {20 + int(network[-1])}"
        self.run(words, 4 if network in self.networks else 0)
        self.networks.add(network)

    def delete_network(self, network: str) -> None:
        used = any(network in host.interfaces.values() for host in self.hosts.values())
        self.run(
            f"networks delete --yes {network}", 3 if network not in self.networks else 4 * used
        )
        if not used:
            self.networks.discard(network)

    def kill_libvirtd(self) -> None:
        daemon("kill", "libvirtd")
        daemon("start", "libvirtd")
        self.came_back = True
        for host in self.hosts.values():
            # libvirt forgets the reason of a shutdown when it restarts.
            host.state = host.state if host.active else "shut off"

    def kill_switch(self) -> None:
        """Hosts, networks and port rows do not change."""
        daemon("kill", "ovs-vswitchd")
        daemon("start", "ovs-vswitchd")

    def kill_creation(self, name: str, network: str, start: bool, point: int) -> None:
        code = self.expected_creation(name, network)
        words = creation(name, network, start).split()
        died = self.killer.run(*words, kill_at=point) == -signal.SIGKILL
        self.run("doctor --fix")
        assert self.run("doctor") == []
        if not code and (not died or name in self.states()):
            self.hosts[name] = created(network, start)

    def kill_deletion(self, name: str, point: int) -> None:
        died = self.killer.run("hosts", "delete", "--yes", name, kill_at=point) == -signal.SIGKILL
        self.run("doctor --fix")
        if name not in self.hosts or not self.hosts[name].managed:
            assert not died
        elif died and point <= 2:  # the call that powers it off, and the step with it
            self.hosts[name].state = (
                "shut off" if self.hosts[name].active else self.hosts[name].state
            )
        else:
            del self.hosts[name]

    def ask_doctor(self) -> None:
        assert self.run("doctor") == []

    def show(self, name: str) -> None:
        shown = self.run(f"hosts show {name}", self.missing(name))
        if host := self.hosts.get(name):
            assert shown["managed"] == host.managed
            assert all(disk["size"] and disk["owned"] for disk in shown["disks"])
            hardware = host.running if host.active else host.stored
            assert {key: shown[key] for key in asdict(hardware)} == asdict(hardware)
            pending = {row["key"]: row["value"] for row in shown["pending"]}
            # A running host has one free port for an interface; others wait for its next start.
            waiting = {k: pending.pop(k) for k in list(pending) if k.startswith("interfaces.")}
            assert pending == host.pending()
            assert shown["autostart"] == host.autostart
            assert {disk["name"]: disk["size"] for disk in shown["disks"]} == host.disks
            interfaces = {row["index"]: row["network"] for row in shown["interfaces"]}
            more = {int(k.split(".")[1]): v for k, v in waiting.items() if k.endswith(".network")}
            assert interfaces | more == host.interfaces

    def check(self) -> None:
        """Compare the hypervisor with the model."""
        assert self.states() == self.expected_states()
        networks = {row["name"]: row for row in self.run("networks list")}
        assert {name for name in networks if name.startswith("net")} == self.networks
        assert all(row["state"] == "active" for row in networks.values())

    def states(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.run("hosts list")}

    def expected_states(self) -> dict[str, str]:
        return {name: host.state for name, host in self.hosts.items()}

    def clear(self) -> None:
        """Delete everything."""
        for name, host in self.hosts.items():
            if not host.managed:
                self.run(f"hosts adopt {name}")
            self.run(f"hosts delete --yes {name}")
        for network in self.networks:
            self.run(f"networks delete --yes {network}")


def created(network: str, start: bool) -> Host:
    return Host(
        "running" if start else "shut off",
        network=network,
        disks={"sda": 1},
        interfaces={0: network},
    )


def scrub() -> None:
    """Remove a failure's leftovers, or its repetition would fail for another reason."""
    verbs = ["hosts adopt {}", "hosts delete --yes {}"]
    lines = [verb.format(name) for name in ("a", "b", "c") for verb in verbs]
    for line in [*lines, "networks delete --yes net1", "networks delete --yes net2"]:
        CliRunner().invoke(root, line.split())


def creation(name: str, network: str, start: bool) -> str:
    words = f"hosts create {name} --memory 64 --disk 1 --network {network}"
    return f"{words} --start" if start else words


STARTS = st.booleans()
SIZES, DISKS = st.integers(1, 3), st.sampled_from(["sda", "sdb", "sdc"])
INDEXES = st.integers(0, 2)
MEMORY, CPUS = st.sampled_from([64, 80, 96]), st.integers(1, 3)
# The operations and their parameters; hypothesis's state machines end most sequences early.
ACTIONS = st.one_of(
    st.tuples(st.just(Machine.create), HOSTS, NETWORKS, STARTS),
    st.tuples(st.just(Machine.create), HOSTS, st.just("net1"), st.just(True)),
    st.tuples(st.just(Machine.define_foreign), HOSTS),
    st.tuples(st.just(Machine.adopt), HOSTS),
    st.tuples(st.just(Machine.start), HOSTS),
    st.tuples(st.just(Machine.stop), HOSTS),
    st.tuples(st.just(Machine.reboot), HOSTS),
    st.tuples(st.just(Machine.set_values), HOSTS, MEMORY, CPUS, STARTS),
    st.tuples(st.just(Machine.add_disk), HOSTS, SIZES),
    st.tuples(st.just(Machine.resize_disk), HOSTS, DISKS, SIZES),
    st.tuples(st.just(Machine.remove_disk), HOSTS, DISKS),
    st.tuples(st.just(Machine.add_interface), HOSTS, NETWORKS),
    st.tuples(st.just(Machine.move_interface), HOSTS, INDEXES, NETWORKS),
    st.tuples(st.just(Machine.remove_interface), HOSTS, INDEXES),
    st.tuples(st.just(Machine.kill_change), HOSTS, MEMORY, st.integers(1, 3)),
    st.tuples(st.just(Machine.delete), HOSTS),
    st.tuples(st.just(Machine.pause), HOSTS),
    st.tuples(st.just(Machine.kill_qemu), HOSTS),
    st.tuples(st.just(Machine.create_network), NETWORKS),
    st.tuples(st.just(Machine.delete_network), NETWORKS),
    st.tuples(st.just(Machine.kill_libvirtd)),
    st.tuples(st.just(Machine.kill_switch)),
    st.tuples(st.just(Machine.kill_creation), HOSTS, NETWORKS, STARTS, st.integers(1, 8)),
    st.tuples(st.just(Machine.kill_deletion), HOSTS, st.integers(1, 6)),
    st.tuples(st.just(Machine.ask_doctor)),
    st.tuples(st.just(Machine.show), HOSTS),
)
SEQUENCES = st.lists(ACTIONS, min_size=STEPS, max_size=STEPS)


@pytest.mark.usefixtures("signal_handlers")
def test_model_sequences(snapshot: Snapshot, figures: Figures) -> None:
    prepare()
    before = snapshot()

    # Shrinking a failure would take hours.
    @settings(
        max_examples=rounds(200, 6), deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(SEQUENCES)
    def happens(sequence: list[tuple[Any, ...]]) -> None:
        if snapshot() != before:
            scrub()
        machine = Machine(killer)
        machine.create_network("net1")
        for act, *arguments in sequence:
            act(machine, *arguments)
            machine.check()
        machine.clear()
        eventually(lambda: snapshot() == before)
        figures.count(f"sequences of {STEPS} steps")

    with forker() as killer:
        happens()
