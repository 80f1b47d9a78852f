"""SIGHUP reloads the TLS files; HTTP/2 clients that disconnect early cause no traceback."""

import shutil
import signal
import socket
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rest_server import TOKENS, Certificates, Running, make_certificates, make_token, serving
from tests.support import HANG, eventually, ok, prepare

pytestmark = pytest.mark.hypervisor

PORT = 8430


@pytest.fixture
def both(tmp_path: Path) -> tuple[Certificates, Certificates]:
    """Make two authorities, each with its server and its client."""
    made = []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        made.append(make_certificates(tmp_path / name))
    return made[0], made[1]


def install(given: Certificates, used: Certificates) -> None:
    for field in ("authority", "certificate", "key"):
        shutil.copy(getattr(given, field), getattr(used, field))


@pytest.fixture
def used(both: tuple[Certificates, Certificates], tmp_path: Path) -> Certificates:
    """Return the TLS files that the server uses: copies of the old ones."""
    (tmp_path / "used").mkdir()
    names = {field: tmp_path / "used" / field for field in ("authority", "certificate", "key")}
    files = replace(both[0], **names)
    install(both[0], files)
    return files


def connects(context: ssl.SSLContext, name: str | None) -> bool:
    """Return whether a client gets a response, with the server's name in SNI or without."""
    context.check_hostname = name is not None
    try:
        with (
            socket.create_connection(("127.0.0.1", PORT), HANG) as plain,
            context.wrap_socket(plain, server_hostname=name) as connection,
        ):
            connection.sendall(b"GET /openapi.json HTTP/1.0\r\n\r\n")
            return connection.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def reloaded(running: Running, number: int) -> None:
    """Ask for a reload, and wait until the log has this number of them."""
    running.process.send_signal(signal.SIGHUP)

    def logged() -> bool:
        lines = [line for line in running.lines("server") if "TLS files" in line["message"]]
        return len(lines) == number

    eventually(logged)


def test_reload(
    both: tuple[Certificates, Certificates], used: Certificates, tmp_path: Path
) -> None:
    """New connections get the new certificate and need one of the new authority."""
    prepare()
    old, new = both
    options = ("--listen", f"127.0.0.1:{PORT}", *used.options, "--client-ca", str(used.authority))
    with serving(tmp_path, *options) as running:
        for name in ("localhost", None):
            assert connects(old.context(with_client=True), name)
        # A certificate without its key is no reason to stop serving.
        shutil.copy(new.certificate, used.certificate)
        reloaded(running, 1)
        used.key.chmod(0o644)
        reloaded(running, 2)
        assert connects(old.context(with_client=True), "localhost")
        install(new, used)
        used.key.chmod(0o600)
        reloaded(running, 3)
        for name in ("localhost", None):
            assert connects(new.context(with_client=True), name)
            assert not connects(old.context(with_client=True), name)
            mixed = new.context()
            mixed.load_cert_chain(old.client_certificate, old.client_key)
            assert not connects(mixed, name)
        levels = [x["level"] for x in running.lines("server") if "TLS files" in x["message"]]
        assert levels == ["error", "error", "info"]


def test_reload_without_tls(tmp_path: Path) -> None:
    prepare()
    with serving(tmp_path) as running:
        reloaded(running, 1)
        assert running.client.ask("GET", "/").status == 200


def test_http2_responses_without_a_body_cause_no_traceback(
    both: tuple[Certificates, Certificates], tmp_path: Path
) -> None:
    prepare()
    token = make_token("h2", "admin")
    options = ("--listen", f"127.0.0.1:{PORT}", *both[0].options)
    ok(*"hosts create web1 --memory 64 --disk 1 --network vlan10 --start".split())
    argv = [
        "curl", "--silent", "--http2", "--cacert", str(both[0].authority), "--config", "-",
        "--output", "/dev/null", "--write-out", "%{http_version} %{http_code}", "--request", "PUT",
        f"https://localhost:{PORT}/hosts/web1/start",
    ]  # fmt: skip
    config = f'header = "Authorization: Bearer {token}"'
    with serving(tmp_path, *options) as running:
        for _ in range(5):
            done = subprocess.run(argv, input=config, capture_output=True, text=True, check=True)
            assert done.stdout == "2 204"
        for _ in range(60):  # enough for a garbage collection
            assert running.client.ask("GET", "/openapi.json").status == 200
        tasks = Path(f"/proc/{running.process.pid}/fd")
        eventually(lambda: not [x for x in tasks.iterdir() if _is_tcp_client(x)])
        running.client.ok("DELETE", "/hosts/web1")
        running.stop()
        assert not [line for line in running.lines() if "traceback" in line]
    TOKENS.unlink()


def _is_tcp_client(descriptor: Path) -> bool:
    """Return whether a descriptor is a connection to the server's port."""
    try:
        inode = str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]")
    except FileNotFoundError:
        return False
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = "0A"
    port = f":{PORT:04X}"
    return any(x[9] == inode and x[1].endswith(port) and x[3] != listening for x in rows)
