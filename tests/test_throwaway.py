"""The throw-away hypervisor passes input and signals on, isolates itself, leaves nothing."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.hypervisor

TOOLS = Path(__file__).parents[1] / "tools"
THROWAWAY = str(TOOLS / "throwaway")
HANG = 60  # seconds after which a run counts as hung
GUEST = """
<domain type='qemu'><name>guest</name><memory unit='MiB'>64</memory>
<os><type machine='q35'>hvm</type></os></domain>
"""


def run(*command: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [THROWAWAY, *command], input=stdin, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip


def processes() -> set[str]:
    """Return the command lines of all processes except the kernel's."""
    lines = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        # A process may be gone before its file is read.
        with suppress(OSError):
            lines.add(path.read_text())
    return lines - {""}


def surroundings() -> dict[str, object]:
    """Return what a run could leave behind."""
    return {
        "processes": processes(),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "links": os.listdir("/sys/class/net"),
        "run": sorted(map(str, Path("/run").rglob("*"))),
        "etc": sorted(os.listdir("/etc")),
        "lib": sorted(os.listdir("/var/lib")),
        "devices": sorted(os.listdir("/dev")),
    }


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that puts a script before the real command of its name."""

    def make(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return make


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("exec no-such-command", 127)],
)
def test_exit_status(command: str, status: int) -> None:
    assert run("sh", "-c", command).returncode == status


def test_usage() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_passes_input_and_environment_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = 'cat; pwd; echo "$PATH"; echo "$SOME"; echo "$SHCTL_THROWAWAY"; printf "<%s>" "$@"'
    done = run("--", "bash", "-c", script, "me", "a b", "", "$x", stdin="typed\n", SOME="a  b")
    expected = f"typed\n{tmp_path}\n{os.environ['PATH']}\na  b\n1\n<a b><><$x>"
    assert (done.stdout, done.stderr) == (expected, "")


def test_the_command_can_be_interrupted() -> None:
    # A shell starts background jobs with SIGINT ignored, which cannot be changed later.
    assert run("sh", "-c", "kill -INT $$; echo still here").returncode == 130


def test_the_shell_completes_and_has_the_man_pages() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(TOOLS.parent)
        os.execvpe("make", ["make", "shell"], {**os.environ, "TERM": "dumb"})
    assert "throwaway:" in talk(terminal, "", "# ")
    talk(terminal, "shctl networks cr\t", "create ")
    talk(terminal, "\x15man -P cat shctl-hosts-log\n", "serial console")
    os.write(terminal, b"exit\n")
    assert os.waitpid(pid, 0)[1] == 0


def test_an_interactive_shell_has_the_terminal() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(THROWAWAY, [THROWAWAY, "bash", "--norc", "-i"], {**os.environ, "TERM": "dumb"})
    text = talk(terminal, "", "# ")
    # The sums distinguish the output from the echo of the input.
    text += talk(terminal, "sh -c 'echo go $((1+1)); exec sleep 1000'\n", "go 2")
    text += talk(terminal, "\x1a", "Stopped")  # control-Z
    text += talk(terminal, "tty; kill -9 %1; echo end $((1+1))\n", "end 2")
    assert "/dev/console" in text
    assert "job control" not in text
    # A shell that has not yet noticed the end of its job refuses to exit.
    talk(terminal, "exec sh -c 'exit 3'\n", None)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def talk(terminal: int, typed: str, answer: str | None) -> str:
    """Type text; return the output up to `answer`, or up to the end if it is None."""
    os.write(terminal, typed.encode())
    got = ""
    while answer is None or answer not in got:
        assert select.select([terminal], [], [], HANG)[0], got
        try:
            got += os.read(terminal, 4096).decode()
        except OSError:  # the terminal's other side is closed
            break
    return got


def test_has_its_own_hypervisor() -> None:
    script = "virsh -q list --all && ovs-vsctl list-br && ip -br link show lo && ls /dev/kvm"
    done = run("bash", "-c", script)
    assert done.stdout.startswith("br0\nlo ")
    assert "UP" in done.stdout
    assert "/dev/kvm" in done.stderr


def test_qemu_runs_as_its_own_user(tmp_path: Path) -> None:
    guest = tmp_path / "guest.xml"
    guest.write_text(GUEST)
    script = (
        f"virsh -q define {guest} && virsh -q start guest"
        " && stat -c %U /proc/$(cat /run/libvirt/qemu/guest.pid) && virsh -q destroy guest"
    )
    assert "libvirt-qemu\n" in run("bash", "-c", script).stdout


def test_several_at_once(tmp_path: Path) -> None:
    guest = tmp_path / "guest.xml"
    guest.write_text(GUEST)
    # Each defines the same name and waits for a line before it lists its hosts.
    script = f"virsh -q define {guest} >/dev/null; echo up; read -r; virsh list --all --name"
    runs = [
        subprocess.Popen([THROWAWAY, "bash", "-c", script], stdin=-1, stdout=-1, text=True)
        for _ in range(3)
    ]
    for process in runs:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
    assert [process.communicate("\n", HANG)[0] for process in runs] == ["guest\n\n"] * 3


def test_leaves_nothing_behind() -> None:
    before = surroundings()
    script = (
        "setsid sleep 1000 & mount -t tmpfs x /mnt; touch /etc/new /var/lib/new /run/new /dev/new;"
        "ip link add a type bridge; ip tuntap add b mode tap; ovs-vsctl add-br br1"
    )
    run("bash", "-c", script)
    assert surroundings() == before


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_a_signal_ends_all_processes(number: signal.Signals, status: int) -> None:
    before = surroundings()
    stubborn = "trap '' INT TERM HUP; echo up; exec sleep 1000"
    with subprocess.Popen([THROWAWAY, "sh", "-c", stubborn], stdout=-1, stderr=-1) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(HANG) == status
        assert process.stderr.read() == b""
    eventually(lambda: surroundings() == before)


@pytest.mark.parametrize("name", ["ovsdb-server", "ovs-vswitchd", "virtlogd", "libvirtd"])
def test_reports_why_a_daemon_does_not_start(name: str, fake: Callable[[str, str], None]) -> None:
    before = surroundings()
    fake(name, f"echo {name}: no luck today >&2; exit 1")
    done = run("echo", "never")
    assert (done.returncode, done.stdout) == (125, "")
    assert f"throwaway: {name} did not come up" in done.stderr
    assert f"{name}: no luck today" in done.stderr
    assert surroundings() == before


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_daemons_can_be_started_again(how: str) -> None:
    names = "ovsdb-server ovs-vswitchd virtlogd libvirtd"
    script = f"set -e; for n in {names}; do {TOOLS}/throwaway-daemon {how} $n; done; "
    script += f"for n in {names}; do {TOOLS}/throwaway-daemon start $n; done; "
    done = run("bash", "-c", script + "virsh -q list; ovs-vsctl list-br")
    assert (done.returncode, done.stdout) == (0, "br0\n")  # virsh 11 may miss polkit on stderr


def test_a_daemon_that_does_not_run_cannot_be_killed() -> None:
    tool = f"{TOOLS}/throwaway-daemon"
    done = run("bash", "-c", f"{tool} kill libvirtd && {tool} kill libvirtd")
    assert done.returncode == 125
    assert "libvirtd is not running" in done.stderr


def test_asks_sudo_for_what_needs_root(fake: Callable[[str, str], None]) -> None:
    fake("id", "echo 1000")
    fake("sudo", 'printf "<%s>" "$@"')
    done = run("echo", "a b")
    assert done.stdout.endswith("/tools/throwaway><--><echo><a b>")
    assert f"<PATH={os.environ['PATH']}>" in done.stdout


def test_needs_root(fake: Callable[[str, str], None], tmp_path: Path) -> None:
    fake("id", "echo 1000")
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    done = run("true", PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (125, "throwaway: needs root, or sudo\n")


def test_the_tests_run_only_here() -> None:
    kept = {name: value for name, value in os.environ.items() if name != "SHCTL_THROWAWAY"}
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_throwaway.py"]
    done = subprocess.run(
        argv, cwd=TOOLS.parent, env=kept, capture_output=True, text=True, timeout=HANG, check=False
    )
    assert done.returncode == 4
    assert done.stderr.strip().startswith("ERROR: some of these tests need a hypervisor")
