"""Installing hosts from the command line: kernel arguments, output and secrets."""

import json
import re
from pathlib import Path

import pytest
from lxml import etree

from tests.guests import End, kernel
from tests.installations import (
    Trees,
    arguments,
    delete,
    install_of,
    log_of,
    one_line,
    virsh,
)
from tests.support import eventually, ok, qemu_pid, run

pytestmark = pytest.mark.usefixtures("vlan10")


def booted_with(name: str) -> str:
    """Return the command line that the guest received."""
    line = eventually(lambda: re.search("^cmdline: (.*)\r?\n", log_of(name), re.MULTILINE))
    return str(line[1]).rstrip("\r")


def stored_with(name: str) -> str:
    return etree.fromstring(virsh("dumpxml", name)).findtext("os/cmdline") or ""


CMDLINES = [
    "auto=true priority=critical --- quiet",
    "a='b c' d=\"e f\" g=<h>&amp;&i; $(touch /run/canary) `id` ; | > /run/canary",
    "host=größe 主機 \\n %s %%",
    "a,b=c,,d {e}",
    " leading   and inner blanks",
]


@pytest.mark.parametrize("cmdline", CMDLINES)
def test_cmdline_reaches_the_guest_byte_for_byte(cmdline: str, trees: Trees) -> None:
    ok(*arguments("line", trees.of(End.HALT, show_cmdline=True), "--cmdline", cmdline))
    assert booted_with("line") == stored_with("line") == f"{cmdline} console=ttyS0"
    assert not Path("/run/canary").exists()
    delete("line")


@pytest.mark.parametrize(
    ("cmdline", "booted"),
    [("", "console=ttyS0"), ("console=tty0 a", "console=tty0 a"), ("xconsole=1", "xconsole=1 *")],
)
def test_console_is_added_unless_one_is_named(cmdline: str, booted: str, trees: Trees) -> None:
    ok(*arguments("line", trees.of(End.HALT), "--cmdline", cmdline))
    assert stored_with("line") == booted.replace("*", "console=ttyS0")
    delete("line")


def fedora(trees: Trees) -> str:
    """Serve a tree whose installer needs its own URL."""
    location = trees.add("x86_64", kernel("Fedora", End.HALT))
    trees.server.files["/x86_64/.treeinfo"] += b"[stage2]\n"
    return location


def test_arguments_of_the_tree_are_added_unless_given(trees: Trees) -> None:
    location = fedora(trees)
    ok(*arguments("needs", location, "--force-memory", "--cmdline", "inst.text"))
    assert stored_with("needs").split()[:2] == [f"inst.repo={location}", "inst.text"]
    delete("needs")
    ok(*arguments("needs", location, "--force-memory", "--cmdline", "inst.repo=nfs:here"))
    assert stored_with("needs") == "inst.repo=nfs:here console=ttyS0"
    delete("needs")


def test_added_arguments_precede_those_for_init(trees: Trees) -> None:
    location = fedora(trees)
    given = "quiet -- console=tty1 inst.repo=x"
    ok(*arguments("needs", location, "--force-memory", "--cmdline", given))
    added = f"inst.repo={location} quiet console=ttyS0 -- console=tty1 inst.repo=x"
    assert stored_with("needs") == added
    delete("needs")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--cmdline", "a\nb"], "one line"),
        (["--cmdline", "x" * 2048], "2047"),
        (["--kernel", "a"], "given together"),
        (["--kernel", "../a", "--initrd", "b"], "below the location"),
        (["--install-timeout", "0"], "is not between"),
        (["--install-timeout", "2 weeks"], "is not a duration"),
        (["--no-start"], "installation starts the host"),
        (["--value", "A=b"], "injected files"),
        (["--inject-text", "a=@SHCTL_NOBODY@"], "unknown placeholder @SHCTL_NOBODY@"),
        (["--inject", "/no/such/file"], "does not exist"),
    ],
)
def test_wrong_options(more: list[str], words: str, trees: Trees) -> None:
    done = run(*arguments("wrong", trees.of(End.HALT), *more))
    assert done.code == 2
    assert one_line(done)
    assert words in done.err
    assert run("hosts", "show", "wrong").code == 3


def test_options_of_an_installation_need_install(trees: Trees) -> None:
    words = "hosts create wrong --memory 64 --disk 1 --network vlan10".split()
    for option in ("--location", "--cmdline", "--kernel"):
        done = run(*words, option, "http://127.0.0.1/")
        assert (done.code, done.out) == (2, "")
    assert run(*words, "--install", "--cmdline", "a").code == 2


@pytest.mark.parametrize(("given", "seconds"), [("90", 90), ("90m", 5400), ("2h", 7200)])
def test_install_timeout_in_every_form(given: str, seconds: int, trees: Trees) -> None:
    ok(*arguments("times", trees.of(End.HALT), "--install-timeout", given))
    install = install_of("times")
    begun, until = (re.findall(r"\d+", install[key]) for key in ("started", "deadline"))
    # Days and months do not matter: the two clock readings are at most a second apart.
    spent = (seconds_of(until) - seconds_of(begun)) % 86400
    assert spent in (seconds, seconds + 1)
    delete("times")


def seconds_of(stamp: list[str]) -> int:
    hours, minutes, seconds = map(int, stamp[3:])
    return (hours * 60 + minutes) * 60 + seconds


# --- Waiting ------------------------------------------------------------------------------------


def test_wait_for_true_and_false_conditions(trees: Trees) -> None:
    ok(*arguments("wait", trees.of(End.HALT)))
    shown = json.loads(ok("-o", "json", "hosts", "wait", "wait", "--for", "running"))
    assert shown["install"]["phase"] == "installing"
    for condition in ("stopped", "installed", "address"):
        done = run("hosts", "wait", "wait", "--for", condition, "--timeout", "0.1")
        assert done.code == 5
        assert one_line(done)
        assert ("no address" if condition == "address" else f"not {condition}") in done.err
    ok("hosts", "stop", "wait", "--force")
    ok("hosts", "wait", "wait", "--for", "stopped", "--timeout", "5")
    assert run("hosts", "wait", "wait", "--for", "installed").code == 7
    delete("wait")
    assert run("hosts", "wait", "wait", "--for", "installed").code == 3


def test_wait_for_an_installation_that_was_never_started() -> None:
    ok(*"hosts create never --memory 64 --disk 1 --network vlan10".split())
    done = run("hosts", "wait", "never", "--for", "installed")
    assert done.code == 4
    assert "without an installation" in done.err
    delete("never")


# --- Secrets ------------------------------------------------------------------------------------


def test_password_in_the_location_is_not_shown(trees: Trees) -> None:
    location = trees.of(End.HALT)
    secret = location.replace("http://", "http://admin:correcthorse@")
    ok(*arguments("quiet", secret, "--cmdline", "inst.repo=here"))
    shown = ok("-o", "json", "hosts", "show", "quiet") + ok("trees", "cached")
    seen = [
        shown,
        virsh("dumpxml", "quiet"),
        Path(f"/proc/{qemu_pid('quiet')}/cmdline").read_text(),
    ]
    seen += [path.read_text(errors="replace") for path in Path("/var/log").rglob("*.log")]
    seen += [path.read_text() for path in Path("/var/cache/shctl").rglob("*.json")]
    assert "correcthorse" not in "".join(seen)
    assert "***@127.0.0.1" in shown
    delete("quiet")


def test_password_in_the_location_is_not_in_errors(trees: Trees) -> None:
    secret = trees.server.url.replace("http://", "http://admin:correcthorse@")
    for more in ([], ["--kernel", "a", "--initrd", "b"]):
        done = run(*arguments("quiet", secret, *more))
        assert done.code == 2
        assert "correcthorse" not in done.err


def test_password_is_not_on_qemus_command_line(trees: Trees) -> None:
    """Every process on the machine can read it."""
    secret = fedora(trees).replace("http://", "http://admin:correcthorse@")
    done = run(*arguments("quiet", secret, "--force-memory"))
    assert done.code == 2
    assert "inst.repo" in done.err
    assert "correcthorse" not in done.err
