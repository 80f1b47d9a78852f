"""Completion: Tab in a real bash, and the values that shctl returns to shells."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, create, environment, ok, prepare
from tests.terminal import KILL_LINE, TAB, running

BASH_FILE = ROOT / "completion" / "bash" / "shctl"
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
    assert complete("shctl networks create x --bridge b") == ["br0"]
    assert complete("shctl hosts create x --pool s") == ["shctl"]


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
        terminal.type(f"source {BASH_FILE}\n", PROMPT)
        terminal.type(f"shctl -c test:///default hosts show te{TAB}", "show test ")
        terminal.type(f"{KILL_LINE}shctl hosts create x --cmdline 'a b=c' --virt{TAB}", "-type ")
        terminal.type(f"{KILL_LINE}shctl hosts create x --virt-type=q{TAB}", "=qemu ")
        terminal.type(f"{KILL_LINE}shctl --config {tmp_path}/my{TAB}", "/my-settings ")
