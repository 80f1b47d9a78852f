"""Completion: Tab in a real bash, and the values that shctl returns to shells."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from shctl.commands.completion_script import SCRIPTS
from tests.support import ROOT, create, environment, ok, prepare, run
from tests.terminal import KILL_LINE, TAB, running

PATIENCE = 20  # seconds
PROMPT = "ready> "


def complete(line: str, *, shell: str = "bash", **env: str) -> list[str]:
    """Return the values that shctl offers at the end of a line."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if shell == "fish":
        asked["COMP_CWORD"] = words[-1]
    done = subprocess.run(
        [sys.executable, "-m", "shctl"], capture_output=True, text=True, check=True,
        env=environment(**asked, _SHCTL_COMPLETE=f"{shell}_complete", **env), timeout=PATIENCE,
    )  # fmt: skip
    assert done.stderr == ""
    return [row.split(",", 1)[1] for row in done.stdout.splitlines() if row.startswith("plain,")]


@pytest.fixture
def hosts() -> Iterator[None]:
    prepare()
    create("tab-a")
    create("tab-b")
    yield
    ok("hosts", "delete", "--yes", "tab-a", "tab-b")


@pytest.mark.hypervisor
def test_hosts_networks_bridges_and_pools(hosts: None) -> None:
    assert complete("shctl hosts show tab") == ["tab-a", "tab-b"]
    assert complete("shctl hosts stop tab-a tab") == ["tab-b"]
    assert complete("shctl hosts create x --network vlan1") == ["vlan10"]
    assert complete("shctl networks show vlan1") == ["vlan10"]
    assert complete("shctl hosts interfaces set tab-a ") == ["0"]
    assert complete("shctl hosts interfaces remove nobody ") == []
    assert complete("shctl networks create x --bridge b") == ["br0"]
    assert complete("shctl hosts create x --pool s") == ["shctl"]
    assert complete("shctl hosts disks remove tab-a ") == ["sda"]
    assert complete("shctl hosts disks resize missing s") == []


@pytest.mark.hypervisor
@pytest.mark.parametrize(
    "name", ["tab-$(id)", "tab-`id`", "-x", "tab-a b", "tab-;x", "tab-\u202ex"]
)
def test_r48_names_with_shell_syntax_are_not_offered(hosts: None, name: str) -> None:
    xml = (
        f"<domain type='qemu'><name>{name}</name><memory>1024</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>"
    )
    virsh = ["virsh", "-q", "-c", "qemu:///system"]
    subprocess.run([*virsh, "define", "/dev/stdin"], input=xml, text=True, check=True)
    try:
        assert complete("shctl hosts show tab") == ["tab-a", "tab-b"]
        assert name not in complete("shctl hosts show ")
    finally:
        subprocess.run([*virsh, "undefine", "--domain", name], check=True)


@pytest.mark.hypervisor
def test_tokens() -> None:
    assert complete("shctl tokens delete t") == []
    for name in ("tab-a", "tab-b"):
        ok("tokens", "create", name, "--scope", "read")
    assert complete("shctl tokens delete t") == ["tab-a", "tab-b"]
    assert complete("shctl tokens delete tab-a t") == ["tab-b"]
    assert complete("shctl tokens create t") == []
    file = Path("/var/lib/shctl/tokens.json")
    file.write_text("{")
    assert complete("shctl tokens delete t") == []
    file.unlink()


@pytest.mark.hypervisor
def test_nothing_is_offered_for_new_names(hosts: None) -> None:
    assert complete("shctl hosts create tab") == []


def test_groups_commands_choices_and_options() -> None:
    assert complete("shctl ho") == ["hosts"]
    assert "create" in complete("shctl hosts ")
    assert complete("shctl hosts wait web1 --for in") == ["installed"]
    assert complete("shctl hosts create web1 --inst") == ["--install", "--install-timeout"]


def test_synonyms_are_completed_but_not_offered() -> None:
    assert complete("shctl net sh") == ["show"]
    assert "network" not in complete("shctl ")
    assert not {"ls", "rm", "get"} & set(complete("shctl hosts "))


def test_lines_for_fish_and_bash() -> None:
    """The same with every version of click: click 8.4 itself prints three lines."""
    asked = {
        "COMP_WORDS": "shctl networks l",
        "COMP_CWORD": "l",
        "_SHCTL_COMPLETE": "fish_complete",
    }
    done = run(**asked)
    assert done.out == "plain,list\tList all networks on the hypervisor.\n"


@pytest.mark.parametrize("shell", SCRIPTS)
def test_printed_script_is_the_one_of_the_package(shell: str) -> None:
    """Each is installed under the name that its shell searches for."""
    text = ok("completion", shell)
    lines = (ROOT / "debian" / "shctl.install").read_text().splitlines()
    (source,) = [line.split()[0] for line in lines if f"/{SCRIPTS[shell]} " in line]
    assert (ROOT / source).read_text() == text
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    below = source.removeprefix("shctl/commands/")
    assert any(fnmatch(below, p) for p in patterns["package-data"]["shctl.commands"])
    assert json.loads(ok("-o", "json", "completion", shell)) == text


def test_a_shell_without_a_script() -> None:
    done = run("completion", "tcsh")
    assert (done.code, "is not one of 'bash', 'zsh', 'fish'" in done.err) == (2, True)


def test_hidden_options_stay_hidden() -> None:
    assert "--inject-text" not in complete("shctl hosts create web1 --inject")


def test_connection_is_taken_from_the_line(tmp_path: Path) -> None:
    assert complete("shctl -c test:///default hosts show ") == ["test"]
    assert complete("shctl hosts show ", SHCTL_CONNECT="test:///default") == ["test"]
    file = tmp_path / "shctl.toml"
    file.write_text('connect = "test:///default"\n')
    assert complete(f"shctl --config {file} hosts show ") == ["test"]
    assert complete("shctl hosts show ", shell="fish", SHCTL_CONNECT="test:///default") == ["test"]


@pytest.mark.parametrize(
    "uri",
    ["qemu:///nowhere", "qemu+unix:///system?socket=/x", "qemu+ssh://web1.invalid/system", ""],
)
def test_nothing_is_offered_without_a_connection(uri: str) -> None:
    assert complete(f"shctl -c '{uri}' hosts show ") == []


def test_broken_settings_file_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "shctl.toml").write_text("a\n")
    assert complete(f"shctl --config {tmp_path / 'shctl.toml'} hosts sho") == ["show"]


def test_tab_in_an_interactive_bash(tmp_path: Path) -> None:
    command = tmp_path / "shctl"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m shctl "$@"\n')
    command.chmod(0o755)
    (tmp_path / "my-settings").touch()
    env = environment(PATH=f"{tmp_path}:{os.environ['PATH']}", TERM="dumb", PS1=PROMPT)
    with running(["bash", "--norc", "-i"], env) as terminal:
        terminal.type("", PROMPT)
        terminal.type("source <(shctl completion bash)\n", PROMPT)
        terminal.type(f"shctl -c test:///default hosts show te{TAB}", "show test ")
        terminal.type(f"{KILL_LINE}shctl hosts create x --cmdline 'a b=c' --virt{TAB}", "-type ")
        terminal.type(f"{KILL_LINE}shctl hosts create x --virt-type=q{TAB}", "=qemu ")
        terminal.type(f"{KILL_LINE}shctl --config {tmp_path}/my{TAB}", "/my-settings ")
        # A state has a blank, which needs quotes or a backslash.
        state = f"{KILL_LINE}shctl hosts list --state "
        terminal.type(f"{state}shut{TAB}", "--state shut\\ off ")
        terminal.type(f"{state}shut\\ o{TAB}", "--state shut\\ off ")
        terminal.type(f"{state}'shut o{TAB}", "--state 'shut off' ")
