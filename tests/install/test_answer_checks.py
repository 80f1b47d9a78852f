"""Errors and hints for answers."""

import os
from pathlib import Path

import pytest

from shctl.common.errors import InvalidInput
from shctl.install.answer_checks import check, hints
from shctl.install.answer_kinds import Kind
from tests.install.test_answer_kinds import EXAMPLES

PRESEED = (
    "d-i partman-auto/method string regular\nd-i passwd/root-password password x\n"
    "d-i partman-auto/disk string @SHCTL_DISK@\n"
)
KICKSTART = "lang en_GB\nautopart\nrootpw --lock\nreboot\n%packages\n%end\n"
AUTOINSTALL = "autoinstall:\n  version: 1\n  identity: {hostname: a}\n"


def refusal(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        check("my", text.encode())
    assert caught.value.field == "answers"
    assert "secret" not in caught.value.detail
    return caught.value.detail


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '{"ignition": {"version": "3.4.0"},\n "secret" }',
            "answers: my, line 2: invalid JSON: Expecting ':' delimiter",
        ),
        ('{"a":' * 100_000, "answers: my: invalid JSON"),
        (
            '<profile xmlns="http://www.suse.com/1.0/yast2ns">\n<a>\n</profile>',
            "answers: my, line 3: invalid XML",
        ),
    ],
    ids=["JSON", "deep JSON", "XML"],
)
def test_syntax(text: str, words: str) -> None:
    assert refusal(text).startswith(words)


@pytest.mark.parametrize("text", [text for texts in EXAMPLES.values() for text in texts])
@pytest.mark.hypervisor
def test_examples_have_no_errors(text: str) -> None:
    check("my", text.encode())


@pytest.mark.hypervisor
def test_debconf_checks_preseeds() -> None:
    check("my", PRESEED.encode())
    found = refusal(f"{PRESEED}\nd-i secret\n")
    assert found == "answers: my, line 5: parse error"


@pytest.mark.hypervisor
@pytest.mark.parametrize(
    ("name", "printed", "text", "words"),
    [
        # Neither is in all releases of Debian.
        (
            "ksvalidator",
            "The following problem occurred on line 2 of the kickstart file:\n\n"
            "Unknown command: secret\n\n",
            KICKSTART,
            "answers: my, line 2: unknown command",
        ),
        (
            "ignition-validate",
            "error at $.storage.files.0.path, line 2 col 33: path not absolute\n",
            EXAMPLES[Kind.IGNITION][0],
            "answers: my, line 2: path not absolute",
        ),
    ],
)
def test_other_checkers(
    name: str,
    printed: str,
    text: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They get the answers in a file that has no name."""
    program = tmp_path / name
    program.write_text(
        f'#!/bin/sh\ncat "$1" >{tmp_path}/read\ncat >&2 <<"END"\n{printed}END\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert refusal(text) == words
    assert (tmp_path / "read").read_text() == text
    program.write_text("#!/bin/sh\necho usage: another version; exit 2\n")
    check("my", text.encode())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PRESEED, None),
        (KICKSTART, None),
        (AUTOINSTALL, None),
        ("d-i passwd/root-password password x\n", "no partman-auto/method"),
        ("d-i partman-auto/method string lvm\n", "no password"),
        (KICKSTART.replace("autopart\n", ""), "no autopart or part"),
        (KICKSTART.replace("rootpw --lock\n", ""), "no rootpw, user or sshkey"),
        (KICKSTART.replace("reboot\n", ""), "wait for a key at its end"),
        (KICKSTART.replace("reboot\n", "halt\n"), "wait for a key at its end"),
        (KICKSTART.replace("reboot", "reboot --eject --kexec"), "reboot --kexec"),
        (AUTOINSTALL + "  interactive-sections: [network]\n", "interactive-sections"),
        ("autoinstall:\n  version: 1\n", "neither identity nor user-data"),
        (PRESEED.replace("@SHCTL_DISK@", "/dev/vda"), "line 3: names /dev/vda"),
        (KICKSTART + "# ignoredisk --only-use=vda,sda\n", "line 7: names vda"),
        (AUTOINSTALL + "  # /dev/nvme0n1\n", "names /dev/nvme0n1"),
        (PRESEED + "# /lib/hdparm hdr hdd.img my-hda vda1\n", None),
        ("#cloud-config\n# /dev/vda\n", None),
    ],
)
def test_hints(text: str, words: str | None) -> None:
    found = [str(problem) for problem in hints(text.encode())]
    if words is None:
        assert found == []
    else:
        (only,) = found
        assert words in only
