"""Answers for installers, on the command line and over REST."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.frontends.frontend import Answer, CommandLine, Frontend
from tests.install.treeparts import PXEBOOT, pair, treeinfo
from tests.installations import Trees

pytestmark = pytest.mark.hypervisor
KICKSTART = "lang en_GB\nautopart\nrootpw @SHCTL_SECRET@\n"
Run = Callable[..., Answer]


@pytest.fixture
def run(frontend: Frontend, tmp_path: Path) -> Run:
    """Return a function that runs a command with files of answers."""

    def run(command: str, *names: str, answers: dict[str, str], **given: Any) -> Answer:
        if not isinstance(frontend, CommandLine):
            return frontend.run(command, *names, answers=answers, **given)
        for name, text in answers.items():
            (tmp_path / name).write_text(text)
        return frontend.run(
            command, *names, answers=[str(tmp_path / name) for name in answers], **given
        )

    return run


@pytest.fixture
def fedora(trees: Trees) -> str:
    """Return the location of a tree of Fedora."""
    files = {**pair(*PXEBOOT), ".treeinfo": treeinfo("Fedora", *PXEBOOT, more="version = 42")}
    for path, content in files.items():
        trees.server.files[f"/fedora/{path}"] = content
    return f"{trees.server.url}/fedora/"


def test_check(run: Run, fedora: str) -> None:
    text = KICKSTART.replace("@SHCTL_SECRET@", "x")
    answer = run("trees check", answers={"my.ks": text}, location=fedora)
    assert answer.ok, answer
    assert answer.data == {
        "location": fedora,
        "installer": "anaconda",
        "initrd": ["ks.cfg"],
        "cd": [],
        "label": None,
        "cmdline": f"inst.repo={fedora} inst.ks=file:/ks.cfg inst.text console=ttyS0",
        "hints": [
            "my.ks: has no reboot or poweroff: the installer would wait for a key at its end"
        ],
    }


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"a": "d-i a/b string c\n"}, "a is preseed, but the tree's installer, anaconda, reads"),
        ({"a": "hello"}, "cannot identify a: must be one of preseed, kickstart, "),
        ({"a": '{"ignition":\n}'}, "a, line 2: invalid JSON"),
        ({"a": KICKSTART}, "unknown placeholder @SHCTL_SECRET@"),
    ],
)
def test_refused(run: Run, fedora: str, answers: dict[str, str], words: str) -> None:
    for command, names, more in (
        ("trees check", (), {}),
        (
            "hosts create", ("a1",),
            {"memory": 4096, "disks": [1], "networks": ["vlan10"], "install": True},
        ),
    ):  # fmt: skip
        answer = run(command, *names, answers=answers, location=fedora, **more)
        assert (answer.status, answer.field, words in answer.detail) == (
            400,
            "answers",
            True,
        ), answer


def test_too_little_memory(run: Run, fedora: str) -> None:
    given = {"disks": [1], "networks": ["vlan10"], "install": True, "location": fedora}
    answer = run("hosts create", "a1", answers={"a": "text\nautopart\n"}, memory=512, **given)
    assert (answer.status, answer.field) == (400, "memory")
    assert "anaconda, needs at least 2048 MiB, but the host has 512 MiB" in answer.detail
