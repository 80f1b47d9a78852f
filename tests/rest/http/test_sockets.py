"""The sockets that the server opens, gets from systemd, or refuses to open."""

import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shctl.common.errors import InvalidInput
from shctl.rest.http.sockets import split
from tests.rest_server import Certificates, Client, Running, make_certificates, serving
from tests.support import HANG, SHCTL, Done, call, environment, run

# Acts as systemd: opens a socket as descriptor 3 and becomes the server.
ACTIVATED = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv.pop(1))
listener.listen()
os.dup2(listener.fileno(), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "shctl.socket"}
from shctl.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def refused(*options: str, **env: str) -> Done:
    """Run a server that is expected to fail at its start."""
    done = run("serve", *options, **env)
    assert done.code != 0
    assert done.err.count("\n") == 1
    return done


def test_addresses() -> None:
    assert split("127.0.0.1") == ("127.0.0.1", 8420)
    assert split("localhost:1") == ("localhost", 1)
    assert split("[::1]") == ("::1", 8420)
    assert split("[::1]:80") == ("::1", 80)
    for wrong in ("", ":", ":80", "a:b", "a:65536", "a:-1", "a:", "[]:1"):
        with pytest.raises(InvalidInput):
            split(wrong)


def test_every_address_of_a_name(tmp_path: Path) -> None:
    addresses = {row[4][0] for row in socket.getaddrinfo("localhost", 8420)}
    with serving(tmp_path, "--listen", "localhost:8420"):
        for address in addresses:
            socket.create_connection((address, 8420), HANG).close()


def test_settings_are_checked_at_the_start(tmp_path: Path) -> None:
    settings = tmp_path / "shctl.toml"
    settings.write_text("cpus = 0\n")
    done = refused("--socket", str(tmp_path / "socket"), SHCTL_CONFIG=str(settings))
    assert done.code == 2
    assert done.err.startswith(f"shctl: {settings}: cpus: must be a whole number between 1")


def test_file_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "shctl.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serving(tmp_path) as running:
        assert running.client.ask("GET", "/hosts").status == 200


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        done = refused("--socket", str(running.socket))
        assert (done.code, "already" in done.err) == (4, True)
        assert running.client.ask("GET", "/hosts").status == 200


def test_a_file_that_is_not_a_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    assert refused("--socket", str(path)).code == 4
    assert path.read_text() == "precious"


@pytest.mark.hypervisor
def test_group_of_the_socket(tmp_path: Path) -> None:
    """The throw-away hypervisor has its own /etc, and so its own groups."""
    call("groupadd", "--system", "--force", "shctl")
    try:
        with serving(tmp_path) as running:
            status = running.socket.stat()
    finally:
        call("groupdel", "shctl")
    assert status.st_gid != 0
    assert stat.S_IMODE(status.st_mode) == 0o660


def test_tcp_without_tls_is_limited_to_loopback(certificates: Certificates, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    done = refused("--socket", path, "--listen", "0.0.0.0:8422")
    assert (done.code, "--tls-cert" in done.err) == (2, True)
    assert not Path(path).exists()
    with serving(tmp_path, "--listen", "0.0.0.0:8422", *certificates.options):
        assert Client(8422, certificates.context()).ask("GET", "/healthz").status == 200


def test_key_that_others_may_read(certificates: Certificates, tmp_path: Path) -> None:
    certificates.key.chmod(0o640)
    try:
        done = refused(
            "--socket", str(tmp_path / "s"), "--listen", "127.0.0.1", *certificates.options
        )
    finally:
        certificates.key.chmod(0o600)
    assert "chmod 600" in done.err


@pytest.mark.parametrize(
    "options",
    [
        ("--tls-cert", "{certificate}"),
        ("--tls-key", "{key}"),
        ("--client-ca", "{authority}"),
        ("--listen", "127.0.0.1", "--tls-cert", "{authority}", "--tls-key", "{key}"),
        ("--listen", "127.0.0.1", "--tls-cert", "{key}", "--tls-key", "{key}"),
        ("--listen", "nowhere.invalid"),
        ("--listen", "192.0.2.1"),
        ("--listen", "127.0.0.1:x"),
        ("--tls-cert", "/nowhere", "--tls-key", "/nowhere"),
    ],
)
def test_incompatible_options(
    certificates: Certificates, tmp_path: Path, options: tuple[str, ...]
) -> None:
    given = [option.format(**vars(certificates)) for option in options]
    assert refused("--socket", str(tmp_path / "s"), *given).code == 2
    assert not (tmp_path / "s").exists()


@pytest.fixture
def activated(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Run a server on a socket from systemd; return that path and the unused one of --socket."""
    given, unused = tmp_path / "given.sock", tmp_path / "unused.sock"
    argv = [sys.executable, "-c", ACTIVATED, str(given), "serve", "--socket", str(unused)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(HANG)
        process = subprocess.Popen(
            argv, env=environment(NOTIFY_SOCKET=str(tmp_path / "notify")),
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert channel.recv(100) == b"READY=1"
        yield given, unused
        process.terminate()
        assert channel.recv(100) == b"STOPPING=1"
        assert process.wait(HANG) == 0


def test_socket_of_systemd(activated: tuple[Path, Path]) -> None:
    given, unused = activated
    assert Client(given).ask("GET", "/hosts").status == 200
    assert not unused.exists()


def test_sockets_for_another_process_are_ignored(tmp_path: Path) -> None:
    with serving(tmp_path, LISTEN_PID="1", LISTEN_FDS="1") as running:
        assert running.client.ask("GET", "/hosts").status == 200


def test_without_the_servers_libraries(tmp_path: Path) -> None:
    """Without these libraries, serve names what to install."""
    (tmp_path / "bottle.py").write_text("raise ModuleNotFoundError('No module named bottle')")
    paths = f"{tmp_path}:{environment()['PYTHONPATH']}"
    done = subprocess.run(
        [*SHCTL, "serve"], env=environment(PYTHONPATH=paths), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "bottle" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_command_line_does_not_import_the_server() -> None:
    """Listing hosts and asking for help import neither the server nor its libraries."""
    code = "import sys; from shctl.cli.main import root; "
    for words in ("['-c', 'test:///default', 'hosts', 'list']", "['--help']"):
        done = call(
            sys.executable, "-c",
            f"{code}\ntry:\n    root.main({words})\nexcept SystemExit:\n    pass\n"
            "print([m for m in sys.modules if m.split('.')[0] in ('bottle', 'hypercorn', 'ssl')"
            " or m.startswith(('shctl.rest', 'shctl.server', 'shctl.common.token_file'))])",
        )  # fmt: skip
        assert done.splitlines()[-1] == "[]"


def test_idle_connections_do_not_delay_the_exit(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        kept = [_keep(running) for _ in range(5)]
        assert running.stop() == 0
        for connection in kept:
            connection.close()


def _keep(running: Running) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(running.socket))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection
