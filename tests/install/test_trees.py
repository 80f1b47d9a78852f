"""Finding kernel and initrd in trees of all kinds, compared with virt-install."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shctl.common.errors import InstallFailed, InvalidInput, ShctlError
from shctl.common.model import Attempt
from shctl.install.fetch import TreeClient
from shctl.install.http.limits import Limits
from shctl.install.tree import arguments
from shctl.install.trees import NoTree, probe
from tests.install import treeserver
from tests.install.treeparts import Case
from tests.install.treeserver import INITRD, KERNEL, TreeServer
from tests.install.treetable import CASES

NAMES = [case.name for case in CASES]
FEDORA = CASES[0]


def prefix(case: Case) -> str:
    """Return a case's path prefix, which must not look like an architecture."""
    return f"/t{CASES.index(case)}"


@pytest.fixture(scope="module")
def server() -> Iterator[TreeServer]:
    """Serve all cases, and keep requests off any proxy."""
    with pytest.MonkeyPatch.context() as environment, treeserver.running() as server:
        environment.setenv("no_proxy", "127.0.0.1")
        for case in CASES:
            for path, content in case.files.items():
                server.files[f"{prefix(case)}/{path}"] = content
        yield server


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_tree(case: Case, server: TreeServer) -> None:
    location = server.url + prefix(case) + case.path
    if case.kernel is None:
        with pytest.raises(InvalidInput, match=case.refusal) as caught:
            probe(location)
        assert "\n" not in caught.value.detail
        assert caught.value.field == "location"
        return
    tree = probe(location)
    found = (tree.kind, tree.arch, tree.kernel, tree.initrd)
    assert found == (case.kind, case.arch, case.kernel, case.initrd)
    slashed, root = location.rstrip("/") + "/", server.url + prefix(case)
    expected = (f"{case.argument}={slashed}",) if case.argument else case.arguments
    assert tree.arguments == tuple(argument.replace("{root}", root) for argument in expected)
    assert case.system in ("", tree.system.name)
    checksum = tree.checksums.get(tree.kernel)
    assert (checksum.algorithm if checksum else "") == case.sums
    assert Attempt(tree.url(tree.kernel), "200") in tree.attempts


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_tree_as_directory(case: Case, tmp_path: Path) -> None:
    """The same trees as files; no guest gets an argument that names a local directory."""
    for path, content in case.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    location = str(tmp_path) + case.path
    if case.kernel is None:
        with pytest.raises(InvalidInput):
            probe(location, local=True)
    else:
        tree = probe(location, local=True)
        assert (tree.kind, tree.kernel, tree.medium) == (case.kind, case.kernel, None)
        assert not [argument for argument in tree.arguments if "file:" in argument]
        assert (tmp_path / case.path.strip("/") / tree.kernel).read_bytes() == KERNEL
        assert probe(Path(location).as_uri(), local=True) == tree
    with pytest.raises(InvalidInput, match="is not a URL of a tree"):
        probe(location)


def ask_shctl(location: str) -> str:
    try:
        return probe(location).kernel
    except ShctlError:
        return "-"


def ask_virt_install(server: TreeServer, case: Case, cache: Path) -> str:
    """Return the kernel that virt-install fetched and put into its XML, "-" when it gave up."""
    options = (
        "--connect test:///default --name probe --memory 64 --disk none --network none"
        " --graphics none --osinfo detect=on,require=off --print-xml"
    )
    top = server.url + prefix(case) + case.path
    run = subprocess.run(
        ["virt-install", *options.split(), "--location", top],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    below = prefix(case) + case.path.rstrip("/") + "/"
    fetched = [
        path.removeprefix(below)
        for agent, method, path, status in server.requests
        if agent == "python-requests" and (method, status) == ("GET", 200)
        if path.startswith(below) and server.files[path] == KERNEL
    ]
    return fetched[-1] if "<kernel>" in run.stdout and fetched else "-"


def compare(cache: Path) -> list[tuple[str, str, str]]:
    """Return name, shctl's kernel and virt-install's for each case, each on its own server."""
    assert shutil.which("virt-install"), "it comes with 'make setup'"

    def row(case: Case) -> tuple[str, str, str]:
        with treeserver.running() as server:
            for path, content in case.files.items():
                server.files[f"{prefix(case)}/{path}"] = content
            found = ask_shctl(server.url + prefix(case) + case.path)
            return case.name, found, ask_virt_install(server, case, cache)

    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(row, CASES))


@pytest.mark.hypervisor
def test_shctl_finds_what_virt_install_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    rows = compare(tmp_path)
    width = max(len(kernel) for _, kernel, _ in rows)
    lines = [f"{name:32}{found:{width + 2}}{other}" for name, found, other in rows]
    with capsys.disabled():
        sys.stdout.write(f"\n{'tree':32}{'shctl':{width + 2}}virt-install\n")
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.write("(virt-install takes the test connection's i686 for Mageia's directory)\n")
    expected = [case.kernel or "-" for case in CASES]
    assert [found for _, found, _ in rows] == expected
    refused = {case.name for case in CASES if case.refusal}
    missed = [
        name for name, found, other in rows if other not in ("-", found) and name not in refused
    ]
    assert missed == []


@pytest.mark.parametrize("name", ["k", "below/k"])
def test_override(name: str, server: TreeServer) -> None:
    server.files |= {f"/own/{name}": KERNEL, "/own/i": INITRD}
    tree = probe(f"{server.url}/own", kernel=name, initrd="i")
    assert (tree.kind, tree.arch, tree.kernel, tree.arguments) == ("kernel", "x86", name, ())


def test_override_keeps_the_trees_other_files(server: TreeServer) -> None:
    server.files |= {f"{prefix(FEDORA)}/os/my/k": KERNEL, f"{prefix(FEDORA)}/os/my/i": INITRD}
    tree = probe(f"{server.url}{prefix(FEDORA)}/os", kernel="my/k", initrd="my/i")
    assert (tree.kind, tree.arch, tree.kernel) == ("fedora", "x86_64", "my/k")
    assert tree.arguments[0].startswith("inst.repo=")


BAD_OVERRIDES = [
    ("k", None, "given together"),
    (None, "i", "given together"),
    ("../k", "i", "below the location"),
    ("/k", "i", "below the location"),
    ("file:///etc/passwd", "i", "below the location"),
    ("k\n", "i", "below the location"),
    ("a//b", "i", "below the location"),
    ("missing", "i", "404 for missing; check the paths"),
]


@pytest.mark.parametrize(("kernel", "initrd", "words"), BAD_OVERRIDES)
def test_bad_override(
    kernel: str | None, initrd: str | None, words: str, server: TreeServer
) -> None:
    with pytest.raises(InvalidInput, match=words):
        probe(f"{server.url}/own", kernel=kernel, initrd=initrd)


BAD_LOCATIONS = [
    "",
    "/etc",
    "tree",
    "file:///etc",
    "ftp://host/tree",
    "javascript:alert(1)",
    "http://",
    "http:///tree",
    "http://host:port/",
    "http://host:99999/",
    "http://[::1/",
    "http://host/a b",
    "http://host/\x1b[2J",
    "http://host/\n",
    "http://host/\udcff",
    "http://host/?token=secret",
    "http://host/#top",
]


@pytest.mark.parametrize("location", BAD_LOCATIONS)
def test_bad_location(location: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        probe(location)
    assert caught.value.field == "location"
    assert caught.value.detail.isprintable()
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize("location", ["", "/etc/passwd", "/nowhere", "file://host/etc", "http:x"])
def test_bad_local_location(location: str) -> None:
    with pytest.raises(InvalidInput):
        probe(location, local=True)


def test_error_without_a_tree_has_a_short_and_a_full_form(
    server: TreeServer,
) -> None:
    with pytest.raises(NoTree) as caught:
        probe(f"{server.url}/nowhere")
    short, full = caught.value.detail, caught.value.full
    listed = full.partition("404 for ")[2].partition(";")[0].split()
    assert short.startswith(f"no installation tree at {server.url}/nowhere/: 404 for .treeinfo ")
    assert f" and {len(listed) - 3} more; " in short
    assert "'shctl trees probe' shows every file tried" in short
    assert listed[-1] == "linux"
    assert len(listed) > 20


def test_error_of_a_failing_server_lists_what_was_tried(server: TreeServer) -> None:
    server.modes["/bad/treeinfo"] = treeserver.status(500)
    with pytest.raises(
        InstallFailed, match="returned 500.*before that: 404 for .treeinfo"
    ) as caught:
        probe(server.url.replace("//", "//user:secret@") + "/bad")
    assert "secret" not in caught.value.detail


def test_server_without_head(server: TreeServer) -> None:
    server.methods = {"GET"}
    try:
        assert probe(f"{server.url}{prefix(FEDORA)}/os").kind == "fedora"
    finally:
        server.methods = {"GET", "HEAD"}


def test_stalling_server(server: TreeServer) -> None:
    server.modes["/slow/.treeinfo"] = treeserver.stall_in_headers
    with TreeClient(Limits(stall=0.2)) as client, pytest.raises(InstallFailed, match=r"for 0\.2 s"):
        probe(f"{server.url}/slow", client=client)


def test_r53_server_that_is_slow_for_each_request(server: TreeServer) -> None:
    def answer(handler: treeserver.Handler) -> None:
        handler.server.closing.wait(0.1)
        handler.answer(404)

    server.missing = answer
    limits = Limits(probe_total=0.3)
    words = r"the probe took more than 0\.3 s; retry later; before that: 404 for \.treeinfo"
    with TreeClient(limits) as client, pytest.raises(InstallFailed, match=words):
        probe(f"{server.url}/slow-each-time", client=client)
    server.missing = None


def test_arguments_are_added_unless_given(server: TreeServer) -> None:
    tree = probe(f"{server.url}{prefix(FEDORA)}/os")
    need = f"inst.repo={server.url}{prefix(FEDORA)}/os/"
    assert arguments(tree, "") == need
    assert arguments(tree, "inst.ks=file:/ks.cfg") == f"{need} inst.ks=file:/ks.cfg"
    assert arguments(tree, "quiet inst.repo=nfs:h:/") == "quiet inst.repo=nfs:h:/"
    assert arguments(tree, "method=http://h/") == "method=http://h/"


def test_password_stays_off_the_command_line(server: TreeServer) -> None:
    secret = server.url.replace("//", "//user:secret@")
    tree = probe(f"{secret}{prefix(FEDORA)}/os")
    shown = repr(tree)
    assert "secret" not in shown
    with TreeClient() as client:
        assert client.read(tree.url(tree.kernel)).body == KERNEL
    with pytest.raises(InvalidInput, match="would show the password") as caught:
        arguments(tree, "quiet")
    assert "secret" not in caught.value.detail
    assert arguments(tree, "inst.repo=http://h/") == "inst.repo=http://h/"
