"""Locales other than UTF-8, arguments that are not text, and limited terminals."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import HANG, SHCTL, call, define, environment
from tests.terminal import at_terminal

NAME = "caf\xe9-\u65e5\x9b"
# Without Python's own coercion of the C locale.
ENCODINGS = {
    "C": {"LC_ALL": "C"},
    "POSIX": {"LC_ALL": "POSIX"},
    "LANG": {"LANG": "C", "LC_ALL": ""},
    "none": {"LANG": "", "LC_ALL": "", "LC_CTYPE": ""},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ISO-8859-1": {"LC_ALL": "en_US.ISO-8859-1"},
    "ISO-8859-15": {"PYTHONIOENCODING": "iso-8859-15"},
}
REFUSALS = [
    ["hosts", "show", b"caf\xe9"],
    ["hosts", "log", b"caf\xe9"],
    ["networks", "create", b"\xff", "--bridge", "br0", "--vlan", "3"],
    ["networks", "create", "n", "--bridge", b"\xff", "--vlan", "3"],
    [*"hosts create x --memory 64 --disk 1 --network vlan10 --install".split(),
     "--location", "http://127.0.0.1:9/", "--cmdline", b"caf\xe9"],
    ["trees", "probe", b"http://127.0.0.1:9/\xe9"],
    ["hosts", b"\xe9"],
    [b"\xe9"],
    [b"--\xe9"],
    ["hosts", "list", b"--\xe9"],
    ["-o", b"\xe9", "hosts", "list"],
    ["-c", b"\xe9", "hosts", "list"],
    ["--config", b"/\xe9", "hosts", "list"],
]  # fmt: skip


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make an ISO-8859-1 locale; return the directory for LOCPATH."""
    path = tmp_path_factory.mktemp("locales")
    call("localedef", "-i", "en_US", "-f", "ISO-8859-1", str(path / "en_US.ISO-8859-1"))
    return str(path)


@pytest.fixture
def named() -> Iterator[str]:
    define(
        f"<domain type='qemu'><name>{NAME}</name><memory>65536</memory>"
        "<os><type>hvm</type></os></domain>"
    )
    yield NAME
    call("virsh", "-q", "-c", "qemu:///system", "undefine", NAME)


def run_bytes(*words: "str | bytes", **env: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*SHCTL, *words], env=environment(**env), stdin=subprocess.DEVNULL, capture_output=True,
        timeout=HANG, check=False,
    )  # fmt: skip


@pytest.mark.hypervisor
@pytest.mark.parametrize("locale", ENCODINGS)
def test_output_in_every_locale(locale: str, named: str, latin: str) -> None:
    env = {"LOCPATH": latin, **ENCODINGS[locale]}
    coding = locale if locale.startswith("ISO") else "utf-8"
    for output in ("table", "json", "name"):
        done = run_bytes("-o", output, "hosts", "list", **env)
        assert (done.returncode, done.stderr) == (0, b"")
        shown = done.stdout.decode("ascii" if output == "json" else coding)
        known = "caf\xe9-" if output != "json" else r"caf\u00e9-\u65e5\u009b"
        assert known in shown
    done = run_bytes("hosts", "start", "caf\xe9".encode(coding), **env)
    assert (done.returncode in (2, 3), done.stderr.count(b"\n")) == (True, 1)
    assert done.stderr.decode(coding).rstrip("\n").isprintable()
    assert b"nexpected" not in done.stderr
    del named


@pytest.mark.hypervisor
@pytest.mark.parametrize("words", REFUSALS, ids=str)
@pytest.mark.parametrize("locale", ["C", "ISO-8859-1", "UTF-8"])
def test_arguments_that_are_not_text(words: list[str | bytes], locale: str, latin: str) -> None:
    env = {"LOCPATH": latin, **ENCODINGS.get(locale, {"LC_ALL": "C.UTF-8"})}
    done = run_bytes(*words, **env)
    # In ISO-8859-1 every byte is a character, so "not found" is right too.
    assert done.returncode in ((2, 3, 6, 7) if locale == "ISO-8859-1" else (2,)), done
    assert (done.stdout, done.stderr.count(b"\n")) == (b"", 1), done
    assert b"nexpected" not in done.stderr
    assert (
        done.stderr.decode("iso-8859-1" if locale == "ISO-8859-1" else "utf-8")
        .rstrip("\n")
        .isprintable()
    )


@pytest.mark.parametrize("env", ["TERM=dumb", "TERM=", "NO_COLOR=1"])
def test_terminals_without_colours(env: str) -> None:
    name, _, value = env.partition("=")
    more: Any = {name: value}
    code, screen = at_terminal("-c", "test:///default", "hosts", "list", **more)
    assert (code, "running" in screen, "\x1b" in screen) == (0, True, False)
