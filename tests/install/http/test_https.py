"""Fetching over TLS."""

import ssl
import subprocess
from pathlib import Path

import pytest

from shctl.common.errors import InstallFailed
from shctl.install.fetch import TreeClient
from tests.install import treeserver
from tests.install.hostile import HOSTILE
from tests.install.treeserver import INITRD, KERNEL, TreeServer
from tests.support import run


@pytest.fixture
def secure_url(
    server: TreeServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Give the server TLS with a certificate that OpenSSL trusts."""
    files = [str(tmp_path_factory.mktemp("tls") / name) for name in ("key", "certificate")]
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj"
    alternative = ["-addext", "subjectAltName=IP:127.0.0.1"]
    command = [*make.split(), "/CN=loopback", *alternative, "-keyout", files[0], "-out", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", files[1])
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    return f"https://127.0.0.1:{server.server_port}"


def test_https(secure_url: str, server: TreeServer, client: TreeClient, tmp_path: Path) -> None:
    client.download(f"{secure_url}/kernel", tmp_path / "kernel", kernel=True)
    assert (tmp_path / "kernel").read_bytes() == KERNEL


@pytest.mark.parametrize("name", ["too long", "too short", "drip body", "stall in body"])
def test_https_hostile(
    name: str, secure_url: str, server: TreeServer, client: TreeClient, tmp_path: Path
) -> None:
    server.modes["/kernel"], kind, words = HOSTILE[name]
    with pytest.raises(kind, match=words):
        client.download(f"{secure_url}/kernel", tmp_path / "kernel", kernel=True)
    assert list(tmp_path.iterdir()) == []


def test_no_fallback_to_http(
    secure_url: str, server: TreeServer, client: TreeClient, tmp_path: Path
) -> None:
    server.modes["/kernel"] = treeserver.redirect("http://127.0.0.1/kernel")
    with pytest.raises(InstallFailed, match="redirects to http://127.0.0.1/kernel"):
        client.download(f"{secure_url}/kernel", tmp_path / "kernel")


SELF_SIGNED = r"certificate verify failed: self.signed certificate; "


def test_r53_unknown_certificate(
    secure_url: str, client: TreeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    words = f"{SELF_SIGNED}if you trust the server, set SSL_CERT_FILE to a file"
    with pytest.raises(InstallFailed, match=words) as caught:
        client.download(f"{secure_url}/kernel", tmp_path / "kernel")
    assert "\n" not in caught.value.detail


def test_r53_missing_certificate_file(
    secure_url: str, client: TreeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/no such file")
    words = f"{SELF_SIGNED}SSL_CERT_FILE is '/etc/no such file', which cannot be read"
    with pytest.raises(InstallFailed, match=words):
        client.download(f"{secure_url}/kernel", tmp_path / "kernel")


def test_r53_certificate_for_another_name(
    secure_url: str, client: TreeClient, tmp_path: Path
) -> None:
    url = secure_url.replace("127.0.0.1", "localhost")
    with pytest.raises(InstallFailed, match="certificate verify failed: .*; check the URL, the"):
        client.download(f"{url}/kernel", tmp_path / "kernel")


def test_trust_of_a_command(
    secure_url: str, server: TreeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/initrd"] = INITRD
    words = ("trees", "probe", secure_url, "--kernel", "kernel", "--initrd", "initrd")
    assert run(*words).code == 0
    monkeypatch.delenv("SSL_CERT_FILE")
    done = run(*words)
    assert (done.code, "set SSL_CERT_FILE" in done.err) == (7, True)
