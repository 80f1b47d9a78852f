"""Scoreboard R53: misleading mirrors: false contents and redirects."""

import socket
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from shctl.common.errors import InstallFailed, InvalidInput
from shctl.install.fetch import TreeClient
from shctl.install.http import redirects
from shctl.install.tree import Tree
from shctl.install.trees import probe
from tests.install import treeserver
from tests.install.treeparts import LOADER, PXEBOOT, Case, images, pair, treeinfo
from tests.install.treeserver import INITRD, KERNEL, Handler, Mode, TreeServer
from tests.install.treetable import CASES

PAGE = b"\n<!DOCTYPE html><title>Not found</title> debian ubuntu suse amd64"
FOUND = [case for case in CASES if case.kernel]
# One of each kind of tree and installer: all of them would take a third of the unit tests' time.
TREES = list({(case.kind, case.system, case.argument): case for case in FOUND}.values())


def add(server: TreeServer, files: dict[str, bytes], top: str = "/os/") -> str:
    server.files |= {top + path: content for path, content in files.items()}
    return server.url + top


def fedora(server: TreeServer, family: str = "Fedora", more: str = "") -> str:
    return add(server, pair(*PXEBOOT) | {".treeinfo": treeinfo(family, *PXEBOOT, more=more)})


# --- Files with wrong content --------------------------------------------------------------------


@pytest.mark.parametrize("case", TREES, ids=[case.name for case in TREES])
def test_r53_answers_200_for_everything(case: Case, server: TreeServer) -> None:
    """A tree of each kind, from a server that sends a page instead of 404."""
    location = add(server, case.files, "/t/") + case.path.strip("/")
    server.missing = treeserver.serve(PAGE)
    tree = probe(location)
    assert (tree.kind, tree.kernel, tree.initrd) == (case.kind, case.kernel, case.initrd)


BODIES = {
    "words": b"Not found",
    "nothing": b"",
    "JSON": b'{"error": "debian"}',
    "NULs": b"\0" * 9999,
    "an initrd": INITRD,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_r53_answers_200_without_a_page(body: bytes, server: TreeServer) -> None:
    server.missing = treeserver.serve(body)
    assert probe(add(server, pair(*LOADER), "/t/")).kind == "suse"


@pytest.mark.parametrize("status", [200, 206, 301, 302, 400, 401, 403, 410])
def test_r53_no_tree_is_found_in_pages(status: int, server: TreeServer) -> None:
    server.missing = lambda handler: handler.answer(status, PAGE, {"Content-Type": "text/html"})
    with pytest.raises(InvalidInput, match="no installation tree"):
        probe(f"{server.url}/os")


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        (PXEBOOT[0], PAGE, f"a web page for {PXEBOOT[0]}"),
        (PXEBOOT[0], INITRD, f"no kernel for {PXEBOOT[0]}"),
        (PXEBOOT[0], KERNEL[:0x205], f"no kernel for {PXEBOOT[0]}"),
        (PXEBOOT[1], PAGE, f"a web page for {PXEBOOT[1]}"),
        (PXEBOOT[1], KERNEL, f"no initrd for {PXEBOOT[1]}"),
        (PXEBOOT[1], b"", f"an empty file for {PXEBOOT[1]}"),
    ],
    ids=range(6),
)
def test_r53_wrong_content_is_missing_and_named(
    path: str, content: bytes, words: str, server: TreeServer
) -> None:
    location = fedora(server)
    server.files[f"/os/{path}"] = content
    with pytest.raises(InvalidInput, match=words):
        probe(location)


def test_page_instead_of_checksums_is_ignored(server: TreeServer) -> None:
    files = images("images/", "debian") | {"images/SHA256SUMS": PAGE}
    assert probe(add(server, files, "/amd64/")).checksums == {}


def test_r53_missing_files_redirect_to_a_page(server: TreeServer) -> None:
    server.missing = treeserver.redirect("/404.html")
    server.files["/404.html"] = PAGE
    assert probe(add(server, pair(*LOADER), "/t/")).kind == "suse"


def test_r53_compressed_pages(server: TreeServer) -> None:
    """A gzipped page begins like a gzipped initrd."""
    server.missing = treeserver.compressed(PAGE)
    assert probe(add(server, pair(*LOADER), "/t/")).kind == "suse"
    server.files["/t/own"] = KERNEL
    with pytest.raises(InvalidInput, match="200 for own, a web page for own2"):
        probe(f"{server.url}/t", kernel="own", initrd="own2")


def test_initrd_with_a_content_encoding(server: TreeServer) -> None:
    location = add(server, images("images/", "debian"), "/amd64/")
    path = "/amd64/images/netboot/debian-installer/amd64/initrd.gz"
    server.modes[path] = treeserver.compressed(INITRD)
    assert probe(location).initrd.endswith("initrd.gz")


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


@pytest.mark.parametrize("status", [200, 301, 302, 400, 401, 403, 404, 405, 500, 501, 503])
def test_r53_head_is_not_trusted(status: int, server: TreeServer) -> None:
    location = fedora(server)
    server.heads = treeserver.status(status)
    assert probe(location).kind == "fedora"


@pytest.mark.parametrize(
    "mode", [*map(treeserver.status, [400, 403, 416, 500, 501]), hang_up, treeserver.not_http]
)
def test_r53_ranges_are_not_supported(mode: Mode, server: TreeServer) -> None:
    location = fedora(server)

    def whole_alone(content: bytes) -> Mode:
        def answer(handler: Handler) -> None:
            if "Range" in handler.headers:
                mode(handler)
            else:
                handler.answer(200, content)

        return answer

    server.modes |= {f"/os/{path}": whole_alone(text) for path, text in pair(*PXEBOOT).items()}
    assert probe(location).kind == "fedora"


def test_ranges_are_ignored(server: TreeServer) -> None:
    location = fedora(server)
    server.modes |= {f"/os/{path}": treeserver.serve(text) for path, text in pair(*PXEBOOT).items()}
    assert probe(location).kind == "fedora"


# --- Families -------------------------------------------------------------------------------------

STAGE2 = "[stage2]\nmainimage = images/install.img\n"
FAMILIES = [
    ("openEuler", "version = 24.03", "inst.repo"),
    ("CloudLinux", "version = 9.4", "inst.repo"),
    ("CloudLinux", "version = 6.10", "method"),
    ("MIRACLE LINUX", "version = 9.2", "inst.repo"),
    ("Test Product", "version = 1", "inst.repo"),
    ("Test Product", "", "inst.repo"),
    ("CentOS", "version = 6.10", "method"),
    ("CentOS", "version = 7", "inst.repo"),
    ("CentOS", "version = rawhide", "inst.repo"),
    ("SUSE Linux Enterprise", "version = 15", "install"),
]


@pytest.mark.parametrize(("family", "version", "argument"), FAMILIES)
@pytest.mark.parametrize("paths", [PXEBOOT, ("k", "i")])
def test_r53_argument_for_any_family(
    family: str, version: str, argument: str, paths: tuple[str, str], server: TreeServer
) -> None:
    text = treeinfo(family, *paths, more=f"{version}\n{STAGE2}")
    location = add(server, pair(*paths) | {".treeinfo": text})
    assert probe(location).arguments == (f"{argument}={location}",)


def test_pxeboot_is_enough(server: TreeServer) -> None:
    location = fedora(server, "Homegrown")
    assert probe(location).arguments == (f"inst.repo={location}",)


@pytest.mark.parametrize("path", ["24.04", "24.04/netboot", "24.04/netboot/amd64/"])
def test_ubuntu_release(path: str, server: TreeServer) -> None:
    add(server, pair("linux", "initrd"), "/24.04/netboot/amd64/")
    tree = probe(f"{server.url}/{path}")
    assert tree.url(tree.kernel) == f"{server.url}/24.04/netboot/amd64/linux"
    assert tree.arch == "x86_64"


# --- Redirects ------------------------------------------------------------------------------------

PUBLIC = "203.0.113.7"
KINDS = {
    "loopback": "127.0.0.1 127.9.9.9 0.0.0.0 0.1.2.3 ::1 :: ::ffff:127.0.0.1 64:ff9b::7f00:1",
    "link-local": "169.254.169.254 169.254.0.1 fe80::1 ::ffff:169.254.169.254 2002:a9fe:a9fe::1",
    "private": "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.0.1 fd00:ec2::254"
    " fc00::1 fec0::1 ::ffff:10.1.1.1 ::10.0.0.1",
    "reserved": "224.0.0.1 239.1.1.1 255.255.255.255 240.0.0.1 ff02::1 192.0.0.192",
    "": f"{PUBLIC} 8.8.8.8 172.32.0.1 100.128.0.1 169.253.0.1 2001:4860::8888 ::ffff:8.8.8.8",
}


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, row in KINDS.items() for text in row.split()]
)
def test_r53_address_ranges(kind: str, text: str) -> None:
    assert redirects.kind_of(ip_address(text)) == kind


LITERALS = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "017700000001", "localhost", "LocalHost."]


@pytest.mark.parametrize("host", [*LITERALS, "a.localhost", "::1", "::ffff:127.0.0.1"])
def test_r53_spellings_of_loopback(host: str) -> None:
    address = redirects.parse_address(host)
    assert address
    assert redirects.kind_of(address) == "loopback"


@pytest.mark.parametrize("host", ["localhost.example", "mirror", "1.2.3.4.5", "", "é"])
def test_names_are_not_addresses(host: str) -> None:
    assert redirects.parse_address(host) is None


@pytest.fixture
def public(server: TreeServer) -> Iterator[str]:
    """Add a public address to the loopback device; return the server's URL there."""
    address = ["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(address, check=True)
    with treeserver.running(PUBLIC) as other:
        other.files = server.files
        other.modes = server.modes
        yield other.url
    subprocess.run([*address[:2], "delete", *address[3:]], check=True)


def probe_through(server: TreeServer, top: str, target: str) -> Tree:
    """Probe a tree below `top` whose .treeinfo redirects to `target`; shctl may refuse that."""
    fedora(server)
    server.modes["/os/.treeinfo"] = treeserver.redirect(f"{target}/there/.treeinfo")
    server.files["/there/.treeinfo"] = server.files["/os/.treeinfo"]
    with TreeClient() as client:
        return probe(f"{top}/os", client=client)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return the addresses of names, one for each query; the last one for all later queries."""
    known: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo

    def answer(host: str, *rest: object, **more: object) -> object:
        addresses = known.get(host, [host])
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return resolve(address, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known


INWARD = ["127.0.0.1", "127.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "inside.test"]


@pytest.mark.hypervisor
@pytest.mark.parametrize("host", INWARD)
def test_r53_redirect_from_outside_to_loopback(
    host: str, server: TreeServer, public: str, names: dict[str, list[str]]
) -> None:
    names["inside.test"] = ["127.0.0.1"]
    target = f"http://{host}:{server.server_port}"
    with pytest.raises(InstallFailed, match=r"loopback address, which is refused") as caught:
        probe_through(server, public, target)
    assert "\n" not in caught.value.detail
    assert server.requests == []


@pytest.mark.hypervisor
@pytest.mark.parametrize(
    "host", ["10.0.0.1", "169.254.169.254", "[fd00::1]", "[fe80::1%25eth0]", "224.0.0.1"]
)
def test_r53_redirect_to_another_address_range(host: str, server: TreeServer, public: str) -> None:
    for top in (server.url, public):
        with pytest.raises(InstallFailed, match="which is refused"):
            probe_through(server, top, f"http://{host}")


@pytest.mark.hypervisor
def test_r53_name_that_changes_its_address(
    server: TreeServer, public: str, names: dict[str, list[str]]
) -> None:
    """The location's name resolves to loopback at the second query."""
    port = int(public.rpartition(":")[2])
    names["tree.test"] = [PUBLIC, "127.0.0.1"]
    with treeserver.running("127.0.0.1", port) as inner:
        with pytest.raises(InstallFailed, match="loopback address, which is refused"):
            probe_through(server, f"http://tree.test:{port}", f"http://tree.test:{port}")
        assert inner.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_redirect_within_loopback_is_followed(host: str, server: TreeServer) -> None:
    target = f"http://{host}:{server.server_port}"
    assert probe_through(server, server.url, target).kind == "fedora"


@pytest.mark.hypervisor
def test_redirect_to_a_public_address_is_followed(server: TreeServer, public: str) -> None:
    assert probe_through(server, server.url, public).kind == "fedora"
    assert probe_through(server, public, public).kind == "fedora"


def test_r53_redirect_through_a_proxy_is_checked_by_its_address(
    server: TreeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.url)
    server.modes["http://tree.test/os/.treeinfo"] = treeserver.redirect("http://169.254.169.254/")
    with pytest.raises(InstallFailed, match="169.254.169.254, a link-local address"):
        probe("http://tree.test/os")
