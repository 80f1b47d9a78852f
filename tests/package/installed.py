"""The packages in clean Debian systems: installed, used, upgraded, removed and purged.

`make test-package` runs it. It stands apart from `make test`, because it needs a network to install
from, which a throw-away hypervisor does not have; so its name is none that pytest collects.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shctl import __version__
from tests.keyboard import TAB, running
from tests.package import roots
from tests.package.roots import PROJECT, Root
from tests.test_readme import check_reader, make_tree

SUITES = ("bookworm", "trixie")
PROMPT = "ready> "
NEWER = ("/opt/dist/newer-shctl.deb", "/opt/dist/newer-shctl-server.deb")
DISK = "var/lib/shctl/volumes/web1-sda"
# What the program makes while it is used.
USED = (
    DISK,
    "var/lib/shctl/boot/web1/kernel",
    "var/lib/shctl/tokens.json",
    "var/cache/shctl/trees/CACHEDIR.TAG",
    "var/log/shctl/console/web1.log",
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Root]]:
    """Make all systems at once: one downloads while the other unpacks."""
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
    assert root.attempt("sh", "-c", "echo x >/etc/shctl/shctl.toml; shctl config show").stderr == (
        "shctl: /etc/shctl/shctl.toml: Expected '=' after a key in a key/value pair"
        " (at line 1, column 2)\n"
    )


@pytest.mark.parametrize("shell", ["bash -l -i", "zsh -f -i"])
def test_tab_in_a_shell_that_nobody_has_set_up(root: Root, shell: str) -> None:
    with running(root.argv(*shell.split()), {}) as terminal:
        if shell.startswith("zsh"):
            terminal.type("autoload -Uz compinit; compinit -u; PS1=rea'dy> '\n", PROMPT)
        else:
            terminal.type("PS1=rea'dy> '\n", PROMPT)
        terminal.type(f"shctl -c test:///default hosts show te{TAB}", "show test ")


def test_completion_in_fish(root: Root) -> None:
    line = "shctl -c test:///default hosts show te"
    assert root.run("fish", "-c", f"complete -C '{line}'").split() == ["test"]


def test_service_gets_by_with_little(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    unit = "/lib/systemd/system/shctl.service"
    told = root.run("systemd-analyze", "--no-pager", "security", "--offline=yes", unit)
    found = re.search(r"Overall exposure level for shctl.service: ([\d.]+)", told)
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


def test_day_with_the_server(root: Root) -> None:
    for file in ("tools/throwaway", "tools/throwaway-daemon", "tests/package/scenario.py"):
        shutil.copy(PROJECT / file, root.path / "opt")
    told = root.run("/opt/throwaway", "/usr/bin/python3", "/opt/scenario.py")
    assert json.loads(told.splitlines()[-1]) == {
        "stranger": ["PermissionError", ""],
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


def test_reader_of_readme_gets_to_an_installed_host(root: Root) -> None:
    """The packages came here by README's own command line; see roots.make."""
    for file in ("README.md", "tests/reader.py"):
        shutil.copy(PROJECT / file, root.path / "opt")
    make_tree(root.path / "opt/tree")
    reader = "/usr/bin/python3 /opt/reader.py /opt/README.md /opt/tree".split()
    check_reader(root.run("/opt/throwaway", *reader))


def test_upgrade_keeps_the_settings(root: Root) -> None:
    settings = root.path / "etc/shctl/shctl.toml"
    settings.write_text('virt_type = "qemu"\n')
    shutil.copy(PROJECT / "tests/package/renumber", root.path / "opt")
    root.run("/opt/renumber", "/opt/dist")
    roots.install(root, NEWER)
    assert root.run("dpkg-query", "-Wf${Version}", "shctl") == f"{__version__}+1"
    assert settings.read_text() == 'virt_type = "qemu"\n'


def test_purge_leaves_nothing_but_disks(root: Root) -> None:
    """The last test of a system: it takes the packages away."""
    for name in USED:
        path = root.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    root.run("apt-get", "-qq", "-y", "remove", "shctl", "shctl-server")
    left = root.files("shctl")
    assert {"etc/shctl", "etc/shctl/shctl.toml", "var/lib/shctl", "var/log/shctl"} <= left
    done = root.attempt("apt-get", "-qq", "-y", "purge", "shctl", "shctl-server")
    assert done.returncode == 0
    assert "/var/lib/shctl/volumes holds disks of hosts" in done.stderr + done.stdout
    assert (root.path / DISK).exists()
    assert root.files("shctl") == {"var/lib/shctl"}
    assert root.attempt("getent", "group", "shctl").returncode != 0


def test_purge_leaves_nothing_at_all(root: Root) -> None:
    (root.path / DISK).unlink()
    roots.install(root, NEWER)
    root.run("apt-get", "-qq", "-y", "purge", "shctl", "shctl-server")
    assert root.files("shctl") == set()
