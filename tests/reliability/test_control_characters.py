"""Text from guests, trees and other tools never controls the reader's terminal."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shctl.common.text import clean, clean_lines
from shctl.hosts import log_view
from tests import installations
from tests.rest_server import Running, serving
from tests.scoreboard import REFUSED, Figures
from tests.support import (
    HANG,
    LOGS,
    SHCTL,
    call,
    create,
    define,
    environment,
    eventually,
    ok,
    run,
    spawn,
)
from tests.terminal import at_terminal

pytestmark = pytest.mark.usefixtures("vlan10")

# What a guest, or a user who chooses names, may write; some terminal acts on each.
CONTROLS = {
    "clear": b"\x1b[2J",
    "title": b"\x1b]0;owned\x07",
    "clipboard": b"\x1b]52;c;cm0K\x07",
    "keys": b'\x1bP$q"p\x1b\\',
    "answer": b"\x05\x1b[6n",
    "backspace": b"ok\b\bno",
    "csi": "\x9b2J".encode(),
    "csi of one byte": b"\x9b2J",
    "delete": b"a\x7f",
    "shift out": b"\x0e",
    "right to left": "\u202egpj".encode(),
    "line": "\u2028".encode(),
    "half": b"\xc3",
    "surrogate": b"\xed\xb2\x9b",
}
# XML allows no C0 controls, so no domain has one in its name.
NAMES = ["x\x9b2Jy", "x\x7fy", "x\u202ey", "x\u2028y", "x\u0085y", "x\u2066y"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("controls")) as running:
        yield running


@pytest.fixture
def host() -> Iterator[str]:
    create("speaks")
    yield "speaks"
    ok("hosts", "delete", "--yes", "speaks")


def harmless(shown: str) -> bool:
    """Return whether a terminal only displays this text and acts on none of it."""
    return all(
        line.replace("\t", "").isprintable() for line in shown.replace("\r\n", "\n").split("\n")
    )


@pytest.mark.parametrize("kind", CONTROLS)
def test_r48_logs(kind: str, host: str, server: Running, figures: Figures) -> None:
    written = b"before " + CONTROLS[kind] + b" after\r\nnext\ttab\n"
    (LOGS / f"{host}.log").write_bytes(written)
    shown = ok("hosts", "log", host)
    assert (shown.startswith("before "), shown.endswith(" after\nnext\ttab\n")) == (True, True)
    answers = [
        shown,
        at_terminal("hosts", "log", host)[1],
        server.client.ask("GET", f"/hosts/{host}/log").body.decode(),
        ok("-o", "json", "hosts", "log", host),
        ok("-o", "json", "hosts", "log", host, "--raw"),
    ]
    assert [answer for answer in answers if not harmless(answer)] == []
    figures.share(REFUSED, len(answers), len(answers))
    raw = subprocess.check_output([*SHCTL, "hosts", "log", host, "--raw"], env=environment())
    assert raw == server.client.ask("GET", f"/hosts/{host}/log?raw=true").body == written


def test_r48_followed_log(host: str) -> None:
    follower = spawn("hosts", "log", host, "-f")
    assert follower.stdout
    (LOGS / f"{host}.log").write_bytes(b"one\x1b[2J\n")
    assert follower.stdout.readline() == "one\ufffd[2J\n"
    with (LOGS / f"{host}.log").open("ab") as log:
        # A line ending and a character, each split between two writes.
        for piece in (b"two\r", b"\nthr\xc3", b"\xa9\x9b\n"):
            log.write(piece)
            log.flush()
    assert [follower.stdout.readline() for _ in range(2)] == ["two\n", "thr\xe9\ufffd\n"]
    follower.terminate()
    follower.communicate(timeout=HANG)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Define a domain of this name on network `hold`."""
    define(
        f"<domain type='qemu'><name>{name}</name><memory>65536</memory><os><type>hvm</type></os>"
        "<devices><interface type='network'><source network='hold'/></interface></devices></domain>"
    )
    try:
        yield
    finally:
        call("virsh", "-q", "-c", "qemu:///system", "undefine", name)


def test_r48_names(server: Running, figures: Figures) -> None:
    ok("networks", "create", "hold", "--bridge", "br0", "--vlan", "9")
    for name in NAMES:
        with named(name):
            refused = run("networks", "delete", "hold", "--yes")
            answers = [
                refused.err,
                run("-o", "json", "networks", "delete", "hold", "--yes").err,
                run("--debug", "networks", "delete", "hold", "--yes").err,
                run("hosts", "show", name).err,
                *(ok("-o", o, "hosts", "list") for o in ("table", "json", "name")),
                *(ok("-o", o, "networks", "show", "hold") for o in ("table", "json")),
                server.client.ask("GET", "/hosts").body.decode(),
                server.client.ask("DELETE", "/networks/hold").body.decode(),
                at_terminal("networks", "delete", "hold")[1],
                ok("doctor"),
            ]
            assert [answer for answer in answers if not harmless(answer)] == []
            assert name in [row["name"] for row in json.loads(ok("-o", "json", "hosts", "list"))]
            figures.share(REFUSED, len(answers), len(answers))
    assert all(harmless(line) for line in server.log.read_text().splitlines())
    ok("networks", "delete", "--yes", "hold")


def test_r48_completion_omits_names_that_cannot_be_typed() -> None:
    ok("networks", "create", "hold", "--bridge", "br0", "--vlan", "9")
    with named(NAMES[0]), named("x-plain"):
        env = {"_SHCTL_COMPLETE": "bash_complete", "COMP_WORDS": "shctl hosts show x",
               "COMP_CWORD": "3"}  # fmt: skip
        assert run(**env).out.splitlines() == ["plain,x-plain"]
    ok("networks", "delete", "--yes", "hold")


def test_r48_trees() -> None:
    """A tree's server controls its paths, its messages and its files."""
    with installations.serving() as trees:
        trees.server.files["/evil/.treeinfo"] = installations.TREEINFO.replace(
            "vmlinuz", "vm\x9b2J\u202e"
        ).encode()
        for location in ("/evil/", "/\u202e/", "/%1b%5b2J/"):
            code, screen = at_terminal("trees", "probe", trees.server.url + location)
            assert (code, harmless(screen)) == (2, True), screen


# --- Paths of logs ------------------------------------------------------------------------------

SERIAL = Path("/var/log/libvirt/qemu/serial-of-old.log")


@contextmanager
def logging_to(path: str) -> Iterator[str]:
    """Define a foreign host whose serial console is a file."""
    define(
        "<domain type='qemu'><name>old</name><memory>65536</memory><os><type>hvm</type></os>"
        f"<devices><serial type='file'><source path='{path}'/></serial></devices></domain>"
    )
    try:
        yield "old"
    finally:
        call("virsh", "-q", "-c", "qemu:///system", "undefine", "old")
        SERIAL.unlink(missing_ok=True)


def test_r48_serial_port_of_type_file() -> None:
    SERIAL.parent.mkdir(parents=True, exist_ok=True)
    with logging_to(str(SERIAL)) as host:
        assert ok("hosts", "log", host) == ""
        SERIAL.write_text("written\n")
        assert ok("hosts", "log", host) == "written\n"
        assert json.loads(ok("-o", "json", "hosts", "show", host))["console"] == str(SERIAL)


@pytest.mark.parametrize(
    "path",
    ["/etc/shadow", "/dev/zero", "/proc/self/environ", "/root/serial.log", "/tmp/x.log",
     "/var/log/libvirt/../../../etc/shadow", "/var/log/libvirt", "/var/log/libvirt/..",
     "/var/log/libvirtx/a.log", "/var/log/shctl/console", "relative.log"],
)  # fmt: skip
@pytest.mark.parametrize("more", [[], ["-f"], ["--raw"]])
def test_r48_other_files_are_not_read(path: str, more: list[str]) -> None:
    with logging_to(path) as host:
        done = run("hosts", "log", host, *more)
        assert (done.code, done.out, done.err.count("\n")) == (4, "", 1)


@pytest.mark.parametrize(
    "kind", ["link", "fifo", "socket", "device", "directory", "linked parent", "link to itself"]
)
@pytest.mark.parametrize("more", [[], ["-f"]])
def test_r48_only_regular_files_are_logs(kind: str, more: list[str], tmp_path: Path) -> None:
    SERIAL.parent.mkdir(parents=True, exist_ok=True)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = SERIAL
    if kind == "link":
        SERIAL.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(SERIAL)
    elif kind == "socket":
        call("python3", "-c", f"import socket; socket.socket(socket.AF_UNIX).bind('{SERIAL}')")
    elif kind == "device":
        os.mknod(SERIAL, 0o600 | 0o020000, os.makedev(1, 5))  # as /dev/zero
    elif kind == "directory":
        SERIAL.mkdir()
    else:
        SERIAL.symlink_to(tmp_path if kind == "linked parent" else SERIAL)
        path = SERIAL / "secret"
    try:
        with logging_to(str(path)) as host:
            done = run("hosts", "log", host, *more)
            assert (done.code, done.out, done.err.count("\n")) == (4, "", 1)
            if kind == "directory":
                SERIAL.rmdir()
    finally:
        SERIAL.unlink(missing_ok=True)


@pytest.mark.parametrize("more", [[], ["--raw"]])
def test_r48_end_of_a_huge_log_is_read(host: str, more: list[str]) -> None:
    with (LOGS / f"{host}.log.0").open("wb") as log:
        log.truncate(2**40)  # a hole
    (LOGS / f"{host}.log").write_text("the end\n")
    read = ok("hosts", "log", host, *more)
    left_out = 2**40 + len("the end\n") - log_view.MAX_READ
    assert read.startswith(f"[shctl: {left_out} earlier bytes omitted]\n")
    assert (read.endswith("the end\n"), len(read.encode()) < 4 * log_view.MAX_READ) == (
        True,
        True,
    )
    follower = spawn("hosts", "log", host, "-f", "--raw")
    assert follower.stdout
    assert follower.stdout.readline().startswith(f"[shctl: {left_out} earlier bytes")
    follower.terminate()
    follower.communicate(timeout=HANG)


def test_r48_log_that_grows_faster_than_it_is_read(host: str) -> None:
    log = LOGS / f"{host}.log"
    log.write_text("begin\n")
    writer = subprocess.Popen(["bash", "-c", f"yes >>{log}"], start_new_session=True)
    try:
        eventually(lambda: log.stat().st_size > 2**20)
        assert ok("hosts", "log", host)
    finally:
        os.killpg(writer.pid, 9)
        writer.wait(HANG)


# --- The function -------------------------------------------------------------------------------


def test_r48_escaped_text() -> None:
    assert clean("plain \xe9 \u65e5 \U0001f600") == "plain \xe9 \u65e5 \U0001f600"
    assert (
        clean("a\x1bb\tc\nd\x9be\x7ff\u202eg\u2028h\udc9b")
        == "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg\ufffdh\ufffd"
    )
    assert clean_lines("a\tb\nc\rd\x1b") == "a\tb\nc\ufffdd\ufffd"
    assert all(clean(chr(code)).isprintable() for code in range(0x110000))
