"""Run README's commands on a throw-away hypervisor, also in a clean root.

    readme_steps.py README TREE

The bridge is created as the text says, and each block of kind `sh` is run unchanged, except that
the directory TREE, served on loopback, replaces the mirror: there is no network here. Prints the
installed host as JSON and its log. Imports nothing from shctl.
"""

import http.server
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem"
    " -out cert.pem -addext subjectAltName=DNS:localhost -addext keyUsage=digitalSignature"
).split()
SERVER = "shctl serve --listen 127.0.0.1:8420 --tls-cert cert.pem --tls-key key.pem".split()
PATIENCE = 120  # seconds


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Do not log requests."""


@contextmanager
def tree_served(directory: str) -> Iterator[str]:
    """Serve a directory on loopback; yield its URL."""
    handler = partial(_Quiet, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def service() -> Iterator[None]:
    """Run the server for the block, which begins once the server is ready."""
    subprocess.run(CERTIFICATE, check=True, capture_output=True)
    Path("key.pem").chmod(0o600)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("notify")
        channel.settimeout(PATIENCE)
        env = {**os.environ, "NOTIFY_SOCKET": str(Path("notify").absolute())}
        process = subprocess.Popen(SERVER, env=env, stderr=subprocess.DEVNULL)
        try:
            assert channel.recv(100) == b"READY=1"
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


@contextmanager
def bridge(text: str) -> Iterator[None]:
    """Replace the bridge with the one in the text, with a new uplink."""
    call("ovs-vsctl del-br br0", "ip tuntap add eno1 mode tap")
    commands = re.findall("^ovs-vsctl .+$", text, re.MULTILINE)
    assert commands
    # The kernel module is missing here: ovs-vsctl prints a warning and continues.
    call(*commands, capture_output=True)
    call("ovs-vsctl set bridge br0 datapath_type=netdev", "ip link set br0 up")
    try:
        yield
    finally:
        call("ovs-vsctl del-port br0 eno1", "ip link delete eno1")


def call(*lines: str, capture_output: bool = False) -> None:
    """Run command lines, which must succeed."""
    for line in lines:
        subprocess.run(line.split(), check=True, capture_output=capture_output, timeout=PATIENCE)


def main(readme: str, tree: str) -> None:
    """Run the steps of the text."""
    text = Path(readme).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    os.chdir(tempfile.mkdtemp())
    with bridge(text), tree_served(tree) as url, service():
        script = "\n".join(blocks).replace(MIRROR, url)
        assert url in script
        subprocess.run(["bash", "-eu"], input=script, text=True, check=True, timeout=PATIENCE)
        for name in ("web1", "db1"):
            sys.stdout.write(f"\nshow {name}\n")
            sys.stdout.flush()
            subprocess.run(["shctl", "-o", "json", "hosts", "show", name], check=True)
        call("shctl hosts delete --yes web1 db1", "shctl networks delete --yes staging")
        call("shctl tokens delete --yes ci")


if __name__ == "__main__":
    main(*sys.argv[1:])
