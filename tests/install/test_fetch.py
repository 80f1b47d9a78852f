"""Downloads from working and from broken servers."""

import gzip
import hashlib
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from shctl.common.errors import InstallFailed, NoSpace, ShctlError
from shctl.install.checksums import Checksum, parse_checksum, parse_sums
from shctl.install.fetch import TreeClient
from shctl.install.http.errors import FetchFailed
from tests.install import treeserver
from tests.install.hostile import HOSTILE
from tests.install.treeserver import KERNEL, TreeServer


def sha256(content: bytes) -> Checksum:
    return Checksum("sha256", hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("name", HOSTILE)
def test_r29_hostile_server_causes_one_line_and_leaves_no_file(
    name: str, server: TreeServer, client: TreeClient, tmp_path: Path
) -> None:
    mode, kind, words = HOSTILE[name]
    server.modes["/kernel"] = mode
    url = f"http://user:secret@127.0.0.1:{server.server_port}/kernel"
    with pytest.raises(kind, match=words) as caught:
        client.download(url, tmp_path / "kernel", kernel=True)
    assert "\n" not in caught.value.detail
    assert "secret" not in caught.value.detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"<html>no</html>", KERNEL], ids=range(3))
def test_r53_download_that_is_not_an_initrd(
    content: bytes, server: TreeServer, client: TreeClient, tmp_path: Path
) -> None:
    server.files["/initrd"] = content
    with pytest.raises(InstallFailed, match="it is not an initrd; check the location"):
        client.download(f"{server.url}/initrd", tmp_path / "initrd", initrd=True)
    assert list(tmp_path.iterdir()) == []


TEXT_MODES = [
    "stall in headers",
    "stall in body",
    "drip headers",
    "drip body",
    "endless",
    "endless trailers",
    "500",
]


@pytest.mark.parametrize("name", TEXT_MODES)
@pytest.mark.parametrize("method", ["read", "peek"])
def test_hostile_server_and_small_files(
    name: str, method: str, server: TreeServer, client: TreeClient
) -> None:
    server.modes["/.treeinfo"] = HOSTILE[name][0]
    if method == "peek" and name in ("stall in body", "drip body", "endless"):
        assert client.peek(f"{server.url}/.treeinfo").found
    else:
        with pytest.raises(FetchFailed):
            getattr(client, method)(f"{server.url}/.treeinfo")


def test_encoded_content_is_stored_as_sent(
    server: TreeServer, client: TreeClient, tmp_path: Path
) -> None:
    """Some servers send initrd.gz with a content encoding."""
    content = gzip.compress(b"initrd" * 5000)
    server.modes["/initrd.gz"] = treeserver.serve(content, Content_Encoding="gzip")
    target = tmp_path / "initrd"
    received = client.download(f"{server.url}/initrd.gz", target, checksum=sha256(content))
    assert target.read_bytes() == content
    assert received
    assert received.length == len(content)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_checksum(algorithm: str, server: TreeServer, client: TreeClient, tmp_path: Path) -> None:
    right = hashlib.new(algorithm, KERNEL).hexdigest()
    target = tmp_path / "kernel"
    wrong = Checksum(algorithm, right[::-1])
    with pytest.raises(InstallFailed, match=f"its {algorithm} differs"):
        client.download(f"{server.url}/kernel", target, checksum=wrong, kernel=True)
    assert list(tmp_path.iterdir()) == []
    client.download(f"{server.url}/kernel", target, checksum=Checksum(algorithm, right))
    assert target.read_bytes() == KERNEL


def test_refused_connection(client: TreeClient, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InstallFailed, match="connection refused") as caught:
        client.download(f"http://u:secret@127.0.0.1:{port}/kernel", tmp_path / "kernel")
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize("name", ["drip body", "drip headers", "too long"])
def test_hostile_server_behind_a_proxy(
    name: str,
    server: TreeServer,
    client: TreeClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", server.url)
    url = "http://tree.invalid/kernel"
    server.modes[url], kind, words = HOSTILE[name]
    with pytest.raises(kind, match=words):
        client.download(url, tmp_path / "kernel")
    assert list(tmp_path.iterdir()) == []


def test_unknown_host(client: TreeClient, tmp_path: Path) -> None:
    with pytest.raises(InstallFailed, match="cannot fetch http://nowhere.invalid/k: "):
        client.download("http://nowhere.invalid/k", tmp_path / "kernel")


def test_redirect_is_followed(server: TreeServer, client: TreeClient, tmp_path: Path) -> None:
    server.modes["/old"] = treeserver.redirect("/newer?token=1")
    server.modes["/newer?token=1"] = treeserver.redirect(f"{server.url}/kernel")
    client.download(f"{server.url}/old", tmp_path / "kernel", kernel=True)
    assert (tmp_path / "kernel").read_bytes() == KERNEL


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o777])
def test_any_umask(umask: int, server: TreeServer, client: TreeClient, tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "kernel"
    before = os.umask(umask)
    try:
        client.download(f"{server.url}/kernel", target)
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (target, *target.parents[:2])]
    assert modes == [0o644, 0o755, 0o755]


def test_progress(server: TreeServer, client: TreeClient, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    client.download(
        f"{server.url}/kernel", tmp_path / "k", progress=lambda *step: seen.append(step)
    )
    assert seen[-1] == (len(KERNEL), len(KERNEL))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_interruption_leaves_nothing(
    error: type[BaseException], server: TreeServer, client: TreeClient, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise error

    (tmp_path / "kernel").write_bytes(b"old")
    with pytest.raises(error):
        client.download(f"{server.url}/kernel", tmp_path / "kernel", progress=interrupt)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"kernel": b"old"}


@pytest.mark.hypervisor
def test_r22_download_does_not_fit(server: TreeServer, tmp_path: Path) -> None:
    """In a file system of 64 KiB in its own mount namespace."""
    server.files["/initrd"] = b"\0" * 150_000
    script = (
        "import sys; from pathlib import Path; from shctl.install.fetch import TreeClient\n"
        "from shctl.common.errors import NoSpace\n"
        "try: TreeClient().download(sys.argv[1], Path(sys.argv[2], 'initrd'))\n"
        "except NoSpace as error: print(error, list(Path(sys.argv[2]).iterdir()))\n"
    )
    mount = f'mount -t tmpfs -o size=64k none {tmp_path} && exec "$@"'
    python = ["/usr/bin/env", "python3", "-c", script, f"{server.url}/initrd", str(tmp_path)]
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh", *python],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert run.stdout.startswith("no space left while writing"), run.stderr
    assert run.stdout.endswith("retry []\n")
    assert NoSpace.status == 507


def test_server_that_keeps_the_connection(client: TreeClient, tmp_path: Path) -> None:
    """The client waits briefly for a server that ignores "Connection: close"."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(KERNEL) + KERNEL
    done = threading.Event()

    def keep(listener: socket.socket) -> None:
        connection = listener.accept()[0]
        with connection:
            connection.recv(65536)
            connection.sendall(reply)
            done.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listener, TreeClient() as patient:
        thread = threading.Thread(target=keep, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        received = patient.download(f"http://127.0.0.1:{port}/kernel", tmp_path / "kernel")
        done.set()
        thread.join()
    assert received
    assert received.length == len(KERNEL)


def test_local_file(client: TreeClient, tmp_path: Path) -> None:
    source = tmp_path / "kernel"
    source.write_bytes(KERNEL)
    target = tmp_path / "out" / "kernel"
    received = client.download(source.as_uri(), target, kernel=True)
    assert target.read_bytes() == KERNEL
    assert client.download(source.as_uri(), target, known=received) is None
    with pytest.raises(ShctlError, match="does not exist"):
        client.download(source.as_uri() + "x", target)


def test_sums_of_all_kinds() -> None:
    md5, sha = "a" * 32, "B" * 64
    text = f"{md5}  ./casper/vmlinuz\n{sha} *linux\nHASH SHA256 {sha}  boot/x\nzz  no\nabc  short\n"
    assert dict(parse_sums(text.splitlines())) == {
        "casper/vmlinuz": Checksum("md5", md5),
        "linux": Checksum("sha256", sha.lower()),
        "boot/x": Checksum("sha256", sha.lower()),
    }
    assert parse_checksum(f"sha256:{sha}") == Checksum("sha256", sha.lower())
    assert parse_checksum("sha3:" + "x" * 64) is None
