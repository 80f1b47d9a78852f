"""docs/ is correct: its commands run, its messages and keys exist.

Blocks of kind `sh`, `console`, `python` and `yaml` are run. Blocks of kind `text` need what tests
do not have: a network, systemd, half an hour.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import ROOT, environment, eventually, finish, ok, spawn

pytestmark = pytest.mark.hypervisor

DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOCKET = Path("/run/shctl/shctl.sock")
TOKENS = Path("/var/lib/shctl/tokens.json")
PATIENCE = 120  # seconds
# UUIDs, times and MAC addresses differ in each run.
CHANGING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[\d:]+Z|(?<= )\d+s$", re.M)


class Block(NamedTuple):
    """A block of code in a document."""

    file: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def blocks(*kinds: str) -> list[Block]:
    return [block for file in DOCS for block in _blocks(file) if block.kind in kinds]


def _blocks(file: Path) -> Iterator[Block]:
    text = file.read_text()
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(file.name, text.count("\n", 0, found.start()) + 2, found[1], found[2])


@pytest.fixture(autouse=True)
def no_tokens() -> Iterator[None]:
    """Remove the token file, which remains after the last token is revoked."""
    yield
    TOKENS.unlink(missing_ok=True)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `shctl` runs this checkout."""
    command = tmp_path / "bin" / "shctl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m shctl "$@"\n')
    command.chmod(0o755)
    return environment(PATH=f"{command.parent}:{os.environ['PATH']}", HOME=str(tmp_path))


@pytest.fixture
def no_networks() -> Iterator[None]:
    """Remove the network that tests share, which is in no transcript."""
    has_network = "vlan10" in ok("-o", "name", "networks", "list").split()
    if has_network:
        ok("networks", "delete", "--yes", "vlan10")
    yield
    if has_network:
        ok(*"networks create vlan10 --bridge br0 --vlan 10".split())


@pytest.fixture
def server() -> Iterator[None]:
    """Run the server on its socket and on a loopback port, as docs/automation.md says."""
    process = spawn("serve", "--listen", "127.0.0.1:8420")
    eventually(SOCKET.exists)
    yield
    process.terminate()
    assert finish(process).code == 0


def run(
    *argv: str, text: str, env: dict[str, str], cwd: Path
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv, input=text, env=env, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("block", [b for b in blocks("sh") if b.file != "README.md"], ids=str)
def test_script_succeeds(block: Block, env: dict[str, str], tmp_path: Path, server: None) -> None:
    """test_readme.py runs README's scripts, which depend on each other."""
    done = run("bash", "-euo", "pipefail", text=block.text, env=env, cwd=tmp_path)
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("no_networks")
@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_transcript_matches(
    block: Block, env: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "unix-socket" in block.text:
        request.getfixturevalue("server")
    for part in re.split(r"^# ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        done = run("bash", "-uo", "pipefail", text=command, env=env, cwd=tmp_path)
        assert CHANGING.sub("-", done.stdout + done.stderr) == CHANGING.sub("-", shown)
        assert (done.returncode != 0) == shown.startswith("shctl: ")


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_program_runs(block: Block, env: dict[str, str], tmp_path: Path, server: None) -> None:
    secret = re.search(r"shctl_\S{40,}", ok("tokens", "create", "docs", "--scope", "read"))
    assert secret is not None
    (tmp_path / "token").write_text(secret[0])
    done = run(sys.executable, "-", text=block.text, env=env, cwd=tmp_path)
    ok("tokens", "delete", "--yes", "docs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "/hosts/{name}/start" in done.stdout


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_playbook_runs_and_runs_again(
    block: Block, env: dict[str, str], tmp_path: Path, server: None
) -> None:
    book = tmp_path / "playbook.yml"
    book.write_text(block.text)
    env |= {"ANSIBLE_LOCALHOST_WARNING": "False", "LC_ALL": "C.UTF-8"}
    argv = ["ansible-playbook", "--connection=local", "--inventory=localhost,", str(book)]
    done = run(*argv, text="", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed=0" in done.stdout
    assert "changed=3" in done.stdout


def test_messages_in_the_troubleshooting_section_exist() -> None:
    source = " ".join(file.read_text() for file in (ROOT / "shctl").rglob("*.py"))
    plain = re.sub(r'"\s+f?"', "", re.sub(r"\s+", " ", source))
    table = (ROOT / "docs" / "operating.md").read_text().partition("by message")[2]
    cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    assert len(cells) > 10
    quoted = [part for cell in cells for part in re.findall("`([^`]+)`", cell)]
    assert [part for part in quoted if part not in plain] == []


def test_paths_of_the_old_interface_are_routes() -> None:
    from shctl.server import ROUTES

    table = (ROOT / "docs" / "moving.md").read_text().partition("## Different")[0]
    rows = re.findall(r"^\| `(\w+) (/\S+)` \|", table, re.MULTILINE)
    assert len(rows) == 10
    known = {(route.method, re.sub("<[a-z]+>", "X", route.path)) for route in ROUTES}
    assert {(method, re.sub("[A-Z]{2,}", "X", path)) for method, path in rows} <= known


def test_named_paths_exist_in_the_program() -> None:
    source = " ".join(file.read_text() for file in (ROOT / "shctl").rglob("*.py"))
    table = (ROOT / "docs" / "operating.md").read_text().partition("## Files")[2]
    named = re.findall(r"^\| `(/\S*shctl/\S+)`", table.partition("## Backup")[0], re.MULTILINE)
    assert named
    assert [path for path in named if path not in source] == []
