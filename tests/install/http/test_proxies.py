"""Scoreboard R53: broken proxies, and hosts that bypass the proxy."""

import gc
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from shctl.common.errors import InstallFailed
from shctl.install.fetch import TreeClient
from shctl.install.http.proxies import choose
from shctl.install.trees import probe
from tests.install import treeserver
from tests.install.treeparts import PXEBOOT, pair, treeinfo
from tests.install.treeserver import Handler, TreeServer
from tests.support import run

BYPASSED = [
    ("*", "http://h/"),
    ("h", "http://h/"),
    ("H", "http://h./"),
    ("a, h ,b", "http://h/"),
    ("a h b", "http://h/"),
    ("example.com", "http://example.com/"),
    ("example.com", "http://a.b.example.com/"),
    (".example.com", "http://a.example.com/"),
    (".example.com", "http://example.com/"),
    ("*.example.com", "http://a.example.com/"),
    ("h:80", "http://h/"),
    ("h:443", "https://h/"),
    ("h:8080", "http://h:8080/"),
    ("10.1.2.3", "http://10.1.2.3/"),
    ("10.0.0.0/8", "http://10.1.2.3/"),
    ("10.1.2.3/8", "http://10.1.2.3:81/"),
    ("10.1.2.3:81", "http://10.1.2.3:81/"),
    ("127.0.0.0/8", "http://127.0.0.1/"),
    ("::1", "http://[::1]/"),
    ("::1", "http://[0:0::0001]:81/"),
    ("[::1]", "http://[::1]/"),
    ("[::1]:81", "http://[::1]:81/"),
    ("fd00::/8", "http://[fd00::7]/"),
    ("FD00::/8", "http://[fd12:3456::7]:81/"),
    ("fe80::/10", "http://[fe80::1%25eth0]/"),
]
PROXIED = [
    ("", "http://h/"),
    (",", "http://h/"),
    ("example.com", "http://badexample.com/"),
    ("example.com", "http://example.com.org/"),
    ("h:81", "http://h/"),
    (":80", "http://h/"),
    (".", "http://h./"),
    ("10.0.0.0/8", "http://11.1.2.3/"),
    ("10.0.0.0/8", "http://10.example.com/"),
    ("10.0.0.0/99", "http://10.0.0.0/"),
    ("10.1.2.3:81", "http://10.1.2.3/"),
    ("::1", "http://[::2]/"),
    ("[::1]:81", "http://[::1]/"),
    ("fd00::/8", "http://[fe80::1]/"),
    ("[", "http://h/"),
    ("*x", "http://h/"),
]
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def dead() -> str:
    """Return the URL of a proxy that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(("no_proxy", "url"), BYPASSED)
@pytest.mark.parametrize("spell", [str.lower, str.upper])
def test_r53_no_proxy_matches(
    no_proxy: str, url: str, spell: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(spell("all_proxy"), "http://proxy:3128")
    monkeypatch.setenv(spell("no_proxy"), no_proxy)
    assert choose(url) is None


@pytest.mark.parametrize(("no_proxy", "url"), PROXIED)
def test_r53_no_proxy_differs(no_proxy: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert str(choose(url)) == "http://proxy:3128 (http_proxy)"


@pytest.mark.parametrize("entry", ["127.0.0.0/99", "example.com/24", "fd00::/129"])
def test_invalid_network_in_no_proxy_is_warned_about_once(
    entry: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("http_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", f"h,10.0.0.0/8,{entry}")
    for url in ("http://127.0.0.1/", "http://example.com/"):
        assert choose(url) is not None
    assert [record.getMessage() for record in caplog.records] == [
        f"ignoring {entry!r} in no_proxy: it is not a network such as 10.0.0.0/8"
    ]


def test_which_variable_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("http://h/") is None
    monkeypatch.setenv("all_proxy", "http://user:secret@all:1")
    assert str(choose("https://h/")) == "http://***@all:1 (all_proxy)"
    monkeypatch.setenv("HTTPS_PROXY", "http://capitals:1")
    assert str(choose("https://h/")) == "http://capitals:1 (https_proxy)"
    monkeypatch.setenv("https_proxy", "http://small:1")
    assert str(choose("https://h/")) == "http://small:1 (https_proxy)"
    monkeypatch.setenv("http_proxy", "")
    monkeypatch.setenv("HTTP_PROXY", "http://capitals:1")
    assert str(choose("http://h/")) == "http://***@all:1 (all_proxy)"


@pytest.mark.parametrize(
    "value", ["socks5://h:1", "http://", "http://h:port", "http://[::1", "h:0"]
)
def test_r53_unusable_proxy(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", value)
    with pytest.raises(InstallFailed, match="invalid proxy in http_proxy: must be"):
        probe("http://tree.invalid/os")


def tree(server: TreeServer) -> str:
    files = pair(*PXEBOOT) | {".treeinfo": treeinfo("Fedora", *PXEBOOT)}
    server.files |= {f"/os/{path}": content for path, content in files.items()}
    return f"{server.url}/os"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_r53_dead_proxy_is_named(
    scheme: str, dead: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", dead.replace("//", "//user:secret@"))
    shown = f"{dead.replace('//', '//***@')} ({scheme}_proxy)"
    with TreeClient() as client, pytest.raises(InstallFailed) as caught:
        client.download(f"{scheme}://tree.invalid/k", tmp_path / "k")
    said = caught.value.detail
    assert f"cannot reach the proxy {shown}: connection refused; check the proxy" in said
    with pytest.raises(InstallFailed, match="cannot reach the proxy") as caught:
        probe(f"{scheme}://tree.invalid/os")
    assert "secret" not in said + caught.value.detail


def test_r53_unknown_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "http://proxy.invalid:3128")
    words = r"cannot reach the proxy http://proxy\.invalid:3128 \(all_proxy\): "
    with pytest.raises(InstallFailed, match=words):
        probe("http://tree.invalid/os")


def test_r53_silent_proxy_is_named(
    client: TreeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its queue of connections is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(
            InstallFailed, match=rf"the proxy http://127\.0\.0\.1:{port} .*no response"
        ):
            client.download("http://tree.invalid/k", tmp_path / "k")


@pytest.mark.parametrize(
    ("status", "words"),
    [(407, "requires a user and a password"), (502, "returned 502 through the proxy http://127")],
)
def test_r53_error_responses_of_a_proxy(
    status: int, words: str, server: TreeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", server.url)
    server.missing = treeserver.status(status)
    with pytest.raises(InstallFailed, match=words):
        probe("http://tree.invalid/os")


# Python before 3.12 closes the socket of a refused tunnel only in garbage collection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_r53_proxy_that_opens_no_tunnel(
    server: TreeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handler: Handler) -> None:
        handler.answer(403)

    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.setattr(Handler, "do_CONNECT", refuse, raising=False)
    with pytest.raises(InstallFailed, match=r"\(https_proxy\): it returned 403 to CONNECT; check"):
        probe("https://tree.invalid/os")
    gc.collect()


def test_command_names_the_proxy_and_accepts_networks(
    server: TreeServer, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = tree(server)
    monkeypatch.setenv("http_proxy", dead)
    monkeypatch.setenv("no_proxy", "192.0.2.0/24")
    done = run("trees", "probe", location)
    assert (done.code, "cannot reach the proxy" in done.err) == (7, True)
    monkeypatch.setenv("no_proxy", "192.0.2.0/24,127.0.0.0/8")
    assert run("trees", "probe", location).code == 0
