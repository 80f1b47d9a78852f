"""Typical use of the installed packages; runs on a throw-away hypervisor in a root.

Prints the results as one JSON object. Imports nothing from shctl: it only runs the installed
command.
"""

import configparser
import contextlib
import grp
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

UNITS = Path("/lib/systemd/system")
PATIENCE = 60  # seconds
MEMBER, OUTSIDER = "member", "outsider"
HOST = {"memory": 64, "disks": [1], "networks": ["lab"], "start": True}
OLD = Path("/var/lib/libvirt/images/old1.img")
OLD_HOST = f"""
<domain type='qemu'><name>old1</name><memory>65536</memory><os><type>hvm</type></os>
<devices><disk type='file'><source file='{OLD}'/><target dev='sda' bus='scsi'/></disk></devices>
</domain>
"""
# Everything is read-only except these.
CONFINE = """
for path; do
    [ "$path" != -- ] || break
    mkdir -p "$path"
    mount --bind "$path" "$path"
    writable="${writable-} $path "
done
while read -r _ path _; do
    case "$writable/dev /proc /sys " in *"$path "*) continue ;; esac
    case $path in /dev/* | /proc/* | /sys/*) continue ;; esac
    mount -o remount,bind,ro "$path"
done </proc/self/mounts
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


def unit(name: str) -> dict[str, str]:
    """Return a unit's settings; the last of repeated ones."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / name)
    return {key: value for section in parser.values() for key, value in section.items()}


def listen() -> socket.socket:
    """Open the socket as systemd would for shctl.socket."""
    settings = unit("shctl.socket")
    path = Path(settings["ListenStream"])
    path.parent.mkdir(mode=int(settings["DirectoryMode"], 8), exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    os.chown(path, 0, grp.getgrnam(settings["SocketGroup"]).gr_gid)
    path.chmod(int(settings["SocketMode"], 8))
    listener.listen()
    return listener


def without_powers(argv: list[str]) -> list[str]:
    """Return a command line that runs another one as the service's hardening would."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", *argv]


def confined(argv: list[str]) -> list[str]:
    """Return a command line that sees the same files as the service."""
    settings = unit("shctl.service")
    assert (settings["ProtectSystem"], settings["ProtectProc"]) == ("strict", "invisible")
    tops = {"State": "/var/lib", "Cache": "/var/cache", "Logs": "/var/log", "Runtime": "/run"}
    writable = [f"{top}/{settings[f'{kind}Directory']}" for kind, top in tops.items()]
    writable += [path.removeprefix("-") for path in settings["ReadWritePaths"].split()]
    # PrivateTmp; the sockets of systemd are not the service's.
    writable += ["/tmp"]
    return ["unshare", "--mount", "sh", "-euc", CONFINE, "sh", *writable, "--", *argv]


@contextlib.contextmanager
def service() -> Iterator["subprocess.Popen[bytes]"]:
    """Run the server as systemd would for shctl.service, and wait until it says it is ready."""
    settings = unit("shctl.service")
    assert settings["CapabilityBoundingSet"] == ""
    listener = listen()
    with tempfile.TemporaryDirectory() as folder, notifications(folder) as (path, channel):
        # The shell's process becomes the server, so LISTEN_PID is right.
        start = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *settings["ExecStart"].split()]
        env = {**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": path}
        process = subprocess.Popen(
            confined(without_powers(start)), env=env, umask=int(settings["UMask"], 8),
            pass_fds=[3], preexec_fn=lambda: os.dup2(listener.fileno(), 3),  # noqa: PLW1509
        )  # fmt: skip
        try:
            assert channel.recv(100) == b"READY=1"
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


@contextlib.contextmanager
def notifications(folder: str) -> Iterator[tuple[str, socket.socket]]:
    """Listen for a service's notifications to systemd."""
    path = f"{folder}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(path)
        channel.settimeout(PATIENCE)
        yield path, channel


class Connection(http.client.HTTPConnection):
    """HTTP over the server's socket."""

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect("/run/shctl/shctl.sock")


def ask(method: str, path: str, body: str) -> str:
    """Send one request; return the status and the body, or the name of the error, as JSON."""
    connection = Connection("localhost")
    try:
        connection.request(method, path, body or None, {"Content-Type": "application/json"})
    except OSError as error:
        return json.dumps([type(error).__name__, ""])
    answer = connection.getresponse()
    return json.dumps([answer.status, answer.read().decode()])


def request(user: str, method: str, path: str, body: Any = None) -> Any:
    """Send one request as a user, from a process of its own."""
    text = json.dumps(body) if body is not None else ""
    argv = ["runuser", "-u", user, "--", sys.executable, __file__, method, path, text]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return json.loads(done.stdout)


def adopt() -> None:
    """Adopt a host with a disk created by the old daemon."""
    OLD.parent.mkdir(parents=True, exist_ok=True)
    OLD.touch()
    define = ["virsh", "--connect", "qemu:///system", "define", "/dev/stdin"]
    subprocess.run(define, input=OLD_HOST, text=True, check=True, capture_output=True)
    subprocess.run(["shctl", "hosts", "adopt", "old1", "--own-disk", OLD], check=True)


def main() -> None:
    """Run the scenario."""
    subprocess.run(["useradd", "--groups", "shctl", MEMBER], check=True)
    subprocess.run(["useradd", OUTSIDER], check=True)
    happened: dict[str, Any] = {}
    with service() as process:
        happened["outsider"] = request(OUTSIDER, "GET", "/hosts")
        happened["network"] = request(
            MEMBER, "POST", "/networks/lab", {"bridge": "br0", "vlan": 20}
        )[0]
        happened["host"] = request(MEMBER, "POST", "/hosts/web1", HOST)[0]
        happened["seen"] = json.loads(request(MEMBER, "GET", "/hosts/web1")[1])["state"]
        happened["listed"] = subprocess.check_output(
            ["shctl", "-o", "name", "hosts", "list"], text=True
        )
        happened["deleted"] = request(MEMBER, "DELETE", "/hosts/web1")[0]
        adopt()
        happened["old one deleted"] = request(MEMBER, "DELETE", "/hosts/old1")[0], OLD.exists()
        happened["gone"] = request(MEMBER, "DELETE", "/networks/lab")[0]
    happened["exit"] = process.returncode
    # systemd owns it and keeps listening.
    happened["socket stays"] = Path(unit("shctl.socket")["ListenStream"]).exists()
    happened["doctor"] = json.loads(subprocess.check_output(["shctl", "-ojson", "doctor"]))
    sys.stdout.write(json.dumps(happened) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(ask(*sys.argv[1:]))
    else:
        main()
