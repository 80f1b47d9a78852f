"""Scoreboard R32 for the command line: hostile names.

Each is refused or merely looked up, and none creates the canary file.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from shctl.cli.main import root
from tests.rest_server import serving
from tests.scoreboard import REFUSED, Figures
from tests.support import run

pytestmark = pytest.mark.usefixtures("vlan10")

CANARY = Path("/run/canary")
MOLDS = [
    "$(touch {c})", "`touch {c}`", "; touch {c}", "| touch {c}", "& touch {c}", "\n touch {c}",
    "a;touch {c}", "a$(touch {c})", "a`touch {c}`", "a|touch {c}", "a&&touch {c}", "a\ntouch {c}",
    "'; touch {c}; '", '"; touch {c}; "', "${{IFS}}touch {c}", "%0atouch {c}", "\\;touch {c}",
    "--help;touch {c}", "x -- set bridge br0 other_config:x=1", "{c}", "../../..{c}", "a/../{c}",
]  # fmt: skip
PLAIN = [
    "", " ", ".", "..", "...", "/", "//", "\\", "*", "?", "[a]", "{}", "~", "~root", "-", "--",
    "-x", "--yes", "--force", "-o", "=", "a=b", "a b", " a", "a ", "\t", "\n", "a\n", "\r",
    "a\0b", "\x1b[31m", "\x1b]0;t\x07", "\x07", "\x7f", "\x85", "\u2028", "\u202e", "\u200b",
    "\ufeff", "\udcff", "\ud800", "é", "ß", "\ufb01", "\uff21", "\u0430", "☃", "\U0001f600",
    "e\u0301", "\u0661", "\u00b2", "\u2177", "<b>", "</name>", "<!--", "]]>", "&amp;", "&",
    "&lt;", "'", '"', "<name>x</name>", "<![CDATA[",
    "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", "&b;", "%s", "%n", "%(a)s", "{0}",
    "{a.__class__}", "null", "None", "true", "0x10", "1e3", "-1", "NaN", "../etc/passwd", "a/b",
    "/etc/passwd", "etc/../passwd", "..\\..", "C:\\x", "file:///etc/passwd", "http://a/b", "a@b",
    "a:b", "a,b", "a+b", "a#b", "a!b", "a^b", "a%b", "a;b", "a|b", "a<b", "a>b", "(a)", "[a",
    "a]", "A", "Web1", "WEB", "a_b", "_a", "a.", ".a", "a..b", "a-", "-a", "a.-b", "a-.b",
    "x" * 64, "x" * 256, "x." * 101 + "x", "y" * 5000, "vnet0; del-br br0", "br0 -- del-br br0",
    "sda", "a\u00a0b", "a\u3000b", "a\u0000", "\u0001", "a\x0bb", "a\x0cb", "import os",
    "__import__", "' or 1=1 --", "1; drop table hosts", "a'b", 'a"b', "a`b", "$HOME", "${HOME}",
    "$$", "!!", "\\n", "CON", "a" * 201, "\u03a9", "\u01c5", "\u0130", "\u0131", "\u017f",
    "\u212a", "a\u0300", "\U0001f1e9\U0001f1ea", "a\u2010b", "a\u2013b", "a\u3002b", "a\uff0eb",
    "xn--", "-.-", "0.", "1.2.3.4.", ".1", "a\\", "\\a", "a\\/b", "a\t", "\ta", "\v", "a\ufffeb",
    "a\u2024b", "\u0430dmin", "\uff41", "web1\u200b", "web1\u00ad", "\u202eweb1", "web1%00",
    "web1%2e", "%2e%2e", "..%2f", "..\u2215", "a\u2044b", "--connect=x", "-c", "@file", "<(id)",
    "a\\nb", "$'a'", "a{b,c}", "[::1]", "127.0.0.1:80", "a//b", "./a",
]  # fmt: skip
NAMES = [*PLAIN, *(mold.format(c=CANARY) for mold in MOLDS)]
# Covered above: the rules allow these names.
ALLOWED_HOSTS = {"sda", "null", "true", "0x10", "1e3"}
ALLOWED_NETWORKS = {
    *ALLOWED_HOSTS, "A", "Web1", "WEB", "a_b", "a.", "a-", "a.-b", "a-.b", "None", "NaN", "CON",
    "x" * 64, "0.", "1.2.3.4.", "__import__", "xn--",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _canary() -> Iterator[None]:
    yield
    assert not CANARY.exists()


def outcome(*arguments: str) -> int:
    """Run the command line in this process, which is faster than 400 processes."""
    with pytest.raises(SystemExit) as caught:
        root.main(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_r32_number_of_names() -> None:
    assert len(set(NAMES)) >= 200


@pytest.mark.parametrize("kind", ["host", "network"])
def test_r32_hostile_names_are_refused(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    allowed = ALLOWED_HOSTS if kind == "host" else ALLOWED_NETWORKS
    options = {
        "host": "hosts create --memory 64 --disk 1 --network vlan10",
        "network": "networks create --bridge br0 --vlan 7",
    }[kind].split()
    for name in [name for name in NAMES if name not in allowed]:
        assert outcome(*options, "--", name) == 2, repr(name)
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith("shctl: "), repr(name)
        assert err.count("\n") == 1, repr(name)
        assert err.rstrip("\n").isprintable(), repr(name)


VERBS = ["hosts show", "hosts start", "hosts stop", "hosts reboot", "hosts delete --yes",
         "hosts adopt", "networks show", "networks delete --yes"]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_r32_hostile_names_find_nothing(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    for name in NAMES:
        assert outcome(*verb.split(), "--", name) in (2, 3), repr(name)
        out, err = capfd.readouterr()
        assert (out, err.count("\n")) == ("", 1), repr(name)
        assert err.rstrip("\n").isprintable(), repr(name)


@pytest.mark.parametrize("option", ["--network", "--pool", "--firmware", "--virt-type"])
def test_r32_hostile_options(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    line = "hosts create x --memory 64 --disk 1 --network vlan10".split()
    for name in NAMES[:: len(VERBS)]:
        assert outcome(*line, f"{option}={name}") == 2, repr(name)
        assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("kind", ["hosts", "networks"])
def test_r32_hostile_names_in_requests(kind: str, tmp_path: Path, figures: Figures) -> None:
    """A name with a slash, or an empty one, makes a path that does not exist."""
    allowed = ALLOWED_HOSTS if kind == "hosts" else ALLOWED_NETWORKS
    body = {"hosts": {"memory": 64, "disks": [1], "networks": ["vlan10"]},
            "networks": {"bridge": "br0", "vlan": 7}}[kind]  # fmt: skip
    with serving(tmp_path) as running:
        before = running.client.ok("GET", f"/{kind}")
        for name in [name for name in NAMES if name not in allowed]:
            path = f"/{kind}/{quote(name.encode(errors='surrogatepass'), safe='')}"
            reply = running.client.ask("POST", path, body)
            assert (reply.status in (400, 404, 405), reply.is_problem) == (True, True), repr(name)
            for method in ("GET", "DELETE"):
                assert running.client.ask(method, path).status in (200, 400, 404, 405), repr(name)
            figures.share(REFUSED, 1, 1)
        assert running.client.ok("GET", f"/{kind}") == before


def test_r32_as_processes() -> None:
    """All names that can be arguments of a process, as bytes."""
    for name in ["$(touch /run/canary)", "a\nb", "\udcff\udcfe", "--yes", "\x1b[31m"]:
        done = run("hosts", "create", "--memory=64", "--disk=1", "--network=vlan10", "--", name)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
