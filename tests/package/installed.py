"""The packages in clean Debian systems: installed, used, upgraded, removed and purged.

`make test-package` runs it. It is not part of `make test`, because it needs a network, which a
throw-away hypervisor does not have; so pytest does not collect its name.
"""

import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shctl import __version__
from tests.docs.test_readme import check_reader, make_tree
from tests.package import booted, roots
from tests.package.booted import Machine, eventually
from tests.package.roots import PROJECT, Root
from tests.terminal import TAB, running

SUITES = ("bookworm", "trixie")
PROMPT = "ready> "
NEWER = ("/opt/dist/newer-shctl.deb", "/opt/dist/newer-shctl-server.deb")
HOST = {"memory": 64, "disks": [1], "networks": ["lab"], "start": True}
DISK = "var/lib/shctl/volumes/web1-sda"
# What the program creates during use.
USED = (
    DISK,
    "var/lib/shctl/boot/web1/kernel",
    "var/lib/shctl/tokens.json",
    "var/cache/shctl/trees/CACHEDIR.TAG",
    "var/log/shctl/console/web1.log",
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Root]]:
    """Create all systems in parallel: one downloads while another unpacks."""
    folder = tmp_path_factory.mktemp("roots")
    folder.chmod(0o755)
    packages = sorted((PROJECT / "dist").glob("shctl*.deb"))
    assert len(packages) == 2, "make deb"
    with ThreadPoolExecutor() as pool:
        done = pool.map(lambda suite: roots.make(suite, folder / suite, packages), SUITES)
        yield {root.suite: root for root in done}
    shutil.rmtree(folder)


@pytest.fixture(params=SUITES)
def root(request: pytest.FixtureRequest, made: dict[str, Root]) -> Root:
    return made[request.param]


def test_command_runs(root: Root) -> None:
    assert root.run("shctl", "--version") == f"shctl, version {__version__}\n"
    assert root.run(
        "python3", "-m", "shctl", "-c", "test:///default", "-o", "name", "hosts", "list"
    )


def test_man_finds_the_pages(root: Root) -> None:
    assert root.run("man", "-w", "shctl-hosts-create").startswith("/usr/share/man/man1/")
    assert root.run("man", "-w", "shctl-serve", "shctl.toml").count("\n") == 2


def test_settings_come_from_the_installed_file(root: Root) -> None:
    assert "/etc/shctl/shctl.toml" not in root.run("shctl", "config", "show")
    settings = root.path / "etc/shctl/shctl.toml"
    kept = settings.read_text()
    settings.write_text("x\n")
    assert root.attempt("shctl", "config", "show").stderr == (
        "shctl: /etc/shctl/shctl.toml: Expected '=' after a key in a key/value pair"
        " (at line 1, column 2)\n"
    )
    # The server does not start with this file.
    settings.write_text(kept)


@pytest.mark.parametrize("shell", ["bash -l -i", "zsh -f -i"])
def test_completion_in_bash_without_configuration(root: Root, shell: str) -> None:
    with running(root.argv(*shell.split()), {}) as terminal:
        if shell.startswith("zsh"):
            terminal.type("autoload -Uz compinit; compinit -u; PS1=rea'dy> '\n", PROMPT)
        else:
            terminal.type("PS1=rea'dy> '\n", PROMPT)
        terminal.type(f"shctl -c test:///default hosts show te{TAB}", "show test ")


def test_completion_in_fish(root: Root) -> None:
    line = "shctl -c test:///default hosts show te"
    assert root.run("fish", "-c", f"complete -C '{line}'").split() == ["test"]


@pytest.mark.parametrize(
    ("shell", "file"),
    [("bash", "bash-completion/completions/shctl"), ("zsh", "zsh/vendor-completions/_shctl"),
     ("fish", "fish/vendor_completions.d/shctl.fish")],
)  # fmt: skip
def test_completion_scripts_are_also_printed(root: Root, shell: str, file: str) -> None:
    installed = (root.path / "usr/share" / file).read_text()
    assert root.run("shctl", "completion", shell) == installed


def test_service_is_confined(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    unit = "/lib/systemd/system/shctl.service"
    report = root.run("systemd-analyze", "--no-pager", "security", "--offline=yes", unit)
    found = re.search(r"Overall exposure level for shctl.service: ([\d.]+)", report)
    assert found is not None
    with capsys.disabled():
        sys.stdout.write(f"\n{root.suite}: {found[0]}\n")
    assert float(found[1]) <= 2.0


def test_units_start_at_boot(root: Root) -> None:
    enabled = root.run("find", "/etc/systemd/system", "-name", "shctl*", "-printf", "%P\\n")
    assert set(enabled.split()) >= {
        "multi-user.target.wants/shctl-ports.service",
        "multi-user.target.wants/shctl.service",
        "sockets.target.wants/shctl.socket",
    }


@pytest.fixture
def machine(root: Root, tmp_path: Path) -> Iterator[Machine]:
    """Boot a system with the installed services and its own systemd."""
    with booted.booting(root, tmp_path / "console") as machine:
        bridge = "add-br br0 -- set bridge br0 datapath_type=netdev"
        machine.run("ovs-vsctl", *bridge.split())
        machine.run("useradd", "--groups", "shctl", "member")
        yield machine


def test_services_run_under_systemd(machine: Machine) -> None:
    """One boot for all checks: the unit's restrictions apply, and the server works with them."""
    units = ("shctl.socket", "shctl.service", "libvirtd", "openvswitch-switch")
    eventually(lambda: machine.attempt("systemctl", "is-active", *units).returncode == 0, 60)
    assert machine.property("shctl-ports.service", "Result") == "success"
    check_confinement(machine)
    check_guest(machine)
    check_people(machine)
    check_activation(machine)
    check_journal(machine)
    check_watchdog(machine)


def check_confinement(machine: Machine) -> None:
    pid = machine.property("shctl.service", "MainPID")
    status = machine.run("cat", f"/proc/{pid}/status")
    assert re.findall("^Cap(?:Prm|Eff|Bnd|Amb):\t(.*)$", status, re.MULTILINE) == [16 * "0"] * 4
    assert re.findall("^(?:NoNewPrivs|Seccomp):\t(.*)$", status, re.MULTILINE) == ["1", "2"]
    limits = machine.run("cat", f"/proc/{pid}/limits")
    limit = machine.property("shctl.service", "LimitNOFILE")
    assert re.search(f"^Max open files +{limit} +{limit} ", limits, re.MULTILINE)
    inside = ("nsenter", f"--target={pid}", "--mount")
    machine.run("touch", "/root/secret", "/tmp/shown")
    assert machine.run(*inside, "ls", "/root", "/home", "/tmp").split() == [
        "/home:", "/root:", "/tmp:",
    ]  # fmt: skip
    assert machine.attempt(*inside, "touch", "/etc/shctl/x").returncode != 0


def check_guest(machine: Machine) -> None:
    """Create a network and a running host, and delete both."""
    network, host = '{"bridge": "br0", "vlan": 20}', json.dumps(HOST)
    assert json.loads(machine.request("/networks/lab", "--json", network)[1])["vlan"] == 20
    created = json.loads(machine.request("/hosts/web1", "--json", host)[1])
    assert (created.get("state"), created.get("detail")) == ("running", None)
    assert json.loads(machine.request("/doctor")[1]) == []
    for path in ("/hosts/web1", "/networks/lab"):
        assert machine.request(path, "-X", "DELETE") == (0, "")


def check_people(machine: Machine) -> None:
    """Members of the socket's group have access."""
    assert machine.request("/hosts", user="member") == (0, "[]\n")
    assert machine.request("/hosts", user="nobody") == (7, "")


def check_activation(machine: Machine) -> None:
    machine.run("systemctl", "stop", "shctl.service")
    assert machine.property("shctl.service", "ActiveState") == "inactive"
    assert machine.request("/hosts") == (0, "[]\n")
    assert machine.property("shctl.service", "ActiveState") == "active"
    assert machine.property("shctl.service", "Result") == "success"


def check_journal(machine: Machine) -> None:
    """All output of the server and its children is JSON; operating.md's command finds audits."""
    machine.run("systemctl", "stop", "openvswitch-switch", "ovs-vswitchd", "ovsdb-server")
    assert json.loads(machine.request("/healthz")[1])["openvswitch"] is False
    machine.run("systemctl", "start", "openvswitch-switch")
    found = re.search("^journalctl .*$", (PROJECT / "docs/operating.md").read_text(), re.MULTILINE)
    assert found is not None

    def audits() -> list[str]:
        lines = machine.run("sh", "-euc", found[0]).splitlines()
        return [json.loads(line)["path"] for line in lines]

    eventually(lambda: audits()[-2:] == ["/hosts/web1", "/networks/lab"], 10)
    own = machine.run("journalctl", "_SYSTEMD_UNIT=shctl.service", "-o", "cat")
    assert all(json.loads(line)["log"] for line in own.splitlines())


def check_watchdog(machine: Machine) -> None:
    """systemd restarts a server whose event loop hangs, and leaves a working one alone."""
    assert machine.property("shctl.service", "WatchdogUSec") not in ("", "0", "infinity")
    folder = "/run/systemd/system/shctl.service.d"
    # The unit's interval is half a minute.
    quick = r"[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n"
    machine.run("sh", "-euc", f"mkdir {folder}; printf '{quick}' >{folder}/quick.conf")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "shctl.service")
    pid = machine.property("shctl.service", "MainPID")
    time.sleep(4)
    assert machine.property("shctl.service", "MainPID") == pid
    machine.run("kill", "-STOP", pid)
    eventually(lambda: machine.property("shctl.service", "NRestarts") == "1", 30)
    eventually(lambda: machine.request("/hosts") == (0, "[]\n"), 30)
    assert machine.property("shctl.service", "MainPID") not in (pid, "0")


def test_day_with_the_server(root: Root) -> None:
    for file in ("tools/throwaway", "tools/throwaway-daemon", "tests/package/scenario.py"):
        shutil.copy(PROJECT / file, root.path / "opt")
    output = root.run("/opt/throwaway", "/usr/bin/python3", "/opt/scenario.py")
    assert json.loads(output.splitlines()[-1]) == {
        "outsider": ["PermissionError", ""],
        "network": 201,
        "host": 201,
        "seen": "running",
        "listed": "web1\n",
        "deleted": 204,
        "old one deleted": [204, False],
        "gone": 204,
        "exit": 0,
        "socket stays": True,
        "doctor": [],
    }


def test_readme_leads_to_an_installed_host(root: Root) -> None:
    """The packages were installed by README's command line; see roots.make."""
    for file in ("README.md", "tests/readme_steps.py"):
        shutil.copy(PROJECT / file, root.path / "opt")
    make_tree(root.path / "opt/tree")
    reader = "/usr/bin/python3 /opt/readme_steps.py /opt/README.md /opt/tree".split()
    check_reader(root.run("/opt/throwaway", *reader))


def test_upgrade_keeps_the_settings(root: Root) -> None:
    settings = root.path / "etc/shctl/shctl.toml"
    settings.write_text('virt_type = "qemu"\n')
    shutil.copy(PROJECT / "tests/package/renumber", root.path / "opt")
    root.run("/opt/renumber", "/opt/dist")
    roots.install(root, NEWER)
    assert root.run("dpkg-query", "-Wf${Version}", "shctl") == f"{__version__}+1"
    assert settings.read_text() == 'virt_type = "qemu"\n'


def test_purge_leaves_only_disks(root: Root) -> None:
    """The last test of a system: it removes the packages."""
    for name in USED:
        path = root.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    root.run("apt-get", "-qq", "-y", "remove", "shctl", "shctl-server")
    left = root.files("shctl")
    assert {"etc/shctl", "etc/shctl/shctl.toml", "var/lib/shctl", "var/log/shctl"} <= left
    done = root.attempt("apt-get", "-qq", "-y", "purge", "shctl", "shctl-server")
    assert done.returncode == 0
    assert "/var/lib/shctl/volumes contains disks of hosts" in done.stderr + done.stdout
    assert (root.path / DISK).exists()
    assert root.files("shctl") == {"var/lib/shctl"}
    assert root.attempt("getent", "group", "shctl").returncode != 0


def test_purge_leaves_nothing_at_all(root: Root) -> None:
    (root.path / DISK).unlink()
    roots.install(root, NEWER)
    root.run("apt-get", "-qq", "-y", "purge", "shctl", "shctl-server")
    assert root.files("shctl") == set()
