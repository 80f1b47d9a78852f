"""Scoreboard R29 to R31: failing trees cause a one-line error and leave nothing; umask."""

import hashlib
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shctl.install.formats import KERNEL_HEAD
from tests.guests import End, kernel
from tests.install import treeserver
from tests.install.treeserver import INITRD, KERNEL, Handler, Mode
from tests.installations import (
    BOOT,
    INITRD_PATH,
    KERNEL_PATH,
    SAY,
    TREEINFO,
    Trees,
    arguments,
    delete,
    install_of,
    log_of,
    one_line,
    run_with_umask,
)
from tests.support import VOLUMES, Done, eventually, ok, qemu_pid, run

pytestmark = pytest.mark.usefixtures("vlan10")

CACHE = Path("/var/cache/shctl/trees")


def when_whole(mode: Mode, begin: bytes = KERNEL) -> Mode:
    """Let the file appear to exist until it is downloaded."""
    return (
        lambda handler: handler.answer(206, begin) if "Range" in handler.headers else mode(handler)
    )


def refused(name: str, location: str, *more: str) -> Done:
    """Create a host, which must fail and leave nothing; return the result."""
    cached = {path.name for path in CACHE.glob("*.*")}
    done = run(*arguments(name, location, *more))
    assert one_line(done), done
    assert run("hosts", "show", name).code == 3
    assert not (VOLUMES / f"{name}-sda").exists()
    assert not (BOOT / name).exists()
    assert not list(CACHE.glob("*.part"))
    new = {path.name for path in CACHE.glob("*.data")} - cached
    assert not any(b"tag" in (CACHE / name).read_bytes() for name in new)
    return done


def too_short(handler: Handler) -> None:
    handler.answer(200, b"tag" * 1000, length=4000)
    handler.close_connection = True


BAD = {
    "404": (treeserver.status(404), 2, "404"),
    "403": (treeserver.status(403), 2, "403"),
    "500": (treeserver.status(500), 7, "500"),
    "too short": (too_short, 7, "3000 of 4000 bytes"),
    "too long": (treeserver.too_long, 7, "sent more than"),
    "too large": (treeserver.too_large, 7, "the limit is"),
    "redirect to file": (treeserver.redirect("file:///etc/passwd"), 7, "refused"),
    "not HTTP": (treeserver.not_http, 7, "not HTTP"),
    "junk": (treeserver.serve(b"tag junk"), 7, "not an x86 Linux kernel"),
}


@pytest.mark.parametrize("name", BAD)
def test_r29_r30_bad_kernel_causes_one_line_and_leaves_nothing(name: str, trees: Trees) -> None:
    location = trees.of(End.RESET)
    mode, code, words = BAD[name]
    trees.server.modes[f"/reset/{KERNEL_PATH}"] = when_whole(mode)
    done = refused("bad", location)
    assert (done.code, words in done.err) == (code, True), done


def test_r29_redirect_loop(trees: Trees) -> None:
    location = trees.of(End.RESET)
    path = f"/reset/{KERNEL_PATH}"
    trees.server.modes[path] = when_whole(treeserver.redirect(path))
    done = refused("bad", location)
    assert (done.code, "more than 5 redirects" in done.err) == (7, True), done


def test_r29_endless(trees: Trees) -> None:
    """For a text file; an endless kernel would take 1 GiB."""
    location = trees.of(End.RESET)
    trees.server.modes["/reset/.treeinfo"] = treeserver.endless
    done = refused("bad", location)
    assert (done.code, "longer than the limit" in done.err) == (7, True), done


def test_r29_bad_initrd(trees: Trees) -> None:
    """The kernel has already been downloaded."""
    location = trees.of(End.RESET)
    trees.server.modes[f"/reset/{INITRD_PATH}"] = when_whole(too_short, INITRD)
    assert refused("bad", location).code == 7


def test_r53_initrd_that_changes_into_a_page(trees: Trees) -> None:
    """It changes between the check and the download."""
    location = trees.of(End.RESET)
    page = treeserver.serve(b"<html>busy</html>")
    trees.server.modes[f"/reset/{INITRD_PATH}"] = when_whole(page, INITRD)
    done = refused("bad", location)
    assert (done.code, "it is not an initrd" in done.err) == (7, True), done


def test_r29_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = refused("bad", f"http://127.0.0.1:{port}/")
    assert (done.code, "refused" in done.err) == (7, True), done


def test_r29_error_without_a_tree_lists_what_was_tried(trees: Trees) -> None:
    done = refused("bad", trees.server.url)
    assert done.code == 2
    assert "404 for .treeinfo treeinfo" in done.err


def test_r30_wrong_checksum(trees: Trees) -> None:
    location = trees.add("sums", kernel(SAY))
    wrong = hashlib.sha256(b"another kernel").hexdigest()
    trees.server.files["/sums/.treeinfo"] = (
        f"{TREEINFO}[checksums]\n{KERNEL_PATH} = sha256:{wrong}\n".encode()
    )
    done = refused("bad", location)
    assert (done.code, "its sha256 differs" in done.err) == (7, True), done


@pytest.mark.parametrize("name", ["../etc/shadow", "/etc/shadow", "TRAILER!!!", "a/./b"])
def test_impossible_injection_is_refused_before_anything_is_fetched(
    name: str, trees: Trees
) -> None:
    done = refused("bad", trees.of(End.RESET), "--inject-text", f"{name}=text")
    assert done.code == 2
    assert trees.server.requests == []


# --- R31: files that QEMU's user must read ------------------------------------------------------


@pytest.mark.parametrize("answer", [False, True], ids=["plain", "injected"])
def test_r31_umask_077_boots(answer: bool, trees: Trees, tmp_path: Path) -> None:
    preseed = tmp_path / "preseed.cfg"
    preseed.write_text("d-i passwd/root-password password correcthorse\n")
    more = ["--inject", str(preseed)] if answer else []
    done = run_with_umask(0o077, *arguments("mask", trees.of(End.HALT), *more))
    assert done.code == 0, done
    eventually(lambda: SAY in log_of("mask"))
    owner = Path(f"/proc/{qemu_pid('mask')}").stat().st_uid
    assert pwd.getpwuid(owner).pw_name != "root"
    delete("mask")


def test_only_qemu_can_read_injected_answers(trees: Trees) -> None:
    secret = "correcthorse"
    location = trees.of(End.HALT)
    ok(*arguments("secret", location, "--inject-text", f"ks.cfg=rootpw {secret}"))
    assert (BOOT / "secret" / "initrd").stat().st_mode & 0o077 == 0
    assert (BOOT / "secret" / "kernel").stat().st_mode & 0o777 == 0o644
    assert not any(secret.encode() in path.read_bytes() for path in readable_by_others())
    ok("hosts", "stop", "secret", "--force")
    assert install_of("secret")["phase"] == "failed"
    assert not (BOOT / "secret").exists()
    delete("secret")


def readable_by_others() -> Iterator[Path]:
    """Yield the files of shctl and libvirt, and command lines, that other users can read."""
    for top in ("/var/lib/shctl", "/var/log", "/var/cache/shctl", "/etc/libvirt", "/run/libvirt"):
        for path in Path(top).rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o004 and path.stat().st_size < 2**20:
                yield path
    yield from (path for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK))


# --- Cached trees -------------------------------------------------------------------------------


def test_second_create_transfers_no_kernel(trees: Trees) -> None:
    """Except the first bytes, which prove that it is a kernel."""
    location = trees.of(End.HALT)
    ok(*arguments("first", location))
    before = dict(trees.server.sent)
    assert before[f"/halt/{KERNEL_PATH}"] > 0
    ok(*arguments("second", location))
    for path in (KERNEL_PATH, INITRD_PATH):
        assert trees.server.sent[f"/halt/{path}"] - before[f"/halt/{path}"] == KERNEL_HEAD
    eventually(lambda: SAY in log_of("second"))
    delete("first", "second")


def test_deleted_cache_does_not_affect_a_host(trees: Trees) -> None:
    """A host has its own boot files."""
    ok(*arguments("own", trees.of(End.HALT)))
    ok("trees", "cached", "--forget")
    assert (BOOT / "own" / "kernel").exists()
    assert not list(CACHE.glob("*.data"))
    eventually(lambda: SAY in log_of("own"))
    delete("own")
