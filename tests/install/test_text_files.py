"""Scoreboard R43, R53: worst-case and compressed text files of trees."""

import gzip
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shctl.common.errors import InstallFailed
from shctl.install import text_files
from shctl.install.checksums import parse_sums
from shctl.install.fetch import TreeClient
from shctl.install.treeinfo import parse_treeinfo
from shctl.install.trees import probe
from tests.install import treeserver
from tests.install.treeparts import PXEBOOT, images, pair, treeinfo
from tests.install.treeserver import TreeServer
from tests.scoreboard import Figures

LIMIT = 4 << 20
HEX = b"a" * 64
FEDORA = treeinfo("Fedora", *PXEBOOT)


def filled(part: bytes, size: int = LIMIT) -> bytes:
    return (part * (size // len(part) + 1))[:size]


LONG, MANY = "too long a line", "too many lines"
# Each with its error; "" if it reaches the parser.
WORST = {
    "blanks within a key": (b"[general]\na" + filled(b" ", LIMIT - 13) + b"b\n", LONG),
    "blanks": (filled(b" "), LONG),
    "equals signs": (filled(b"="), LONG),
    "brackets": (filled(b"["), LONG),
    "letters": (filled(b"a"), LONG),
    "words of architectures": (filled(b"amd64 "), LONG),
    "no UTF-8": (filled(b"\xff"), LONG),
    "checksum and blanks": (HEX + b"  x" + filled(b" ", LIMIT - 80) + b"y\n", LONG),
    "newlines": (filled(b"\n"), MANY),
    "carriage returns": (filled(b"\r\n"), MANY),
    "short lines": (filled(b"a=1\n"), MANY),
    "short sums": (filled(b"0  a\n"), MANY),
    "NULs": (filled(b"\0"), "a binary file"),
    "a NUL at the end": (FEDORA + b"\0", "a binary file"),
    "a page of blanks": (filled(b" ", LIMIT - 6) + b"<html>", "a web page"),
    "lines of blanks": (filled(b" " * 4000 + b"\n"), ""),
    "lines of brackets": (filled(b"[" * 4000 + b"]\n"), ""),
    "lines of equals signs": (filled(b"=" * 4000 + b"\n"), ""),
    "lines of architectures": (filled(b"amd64 " * 600 + b"\n"), ""),
    "lines of no UTF-8": (filled(b"\xff" * 4000 + b"\n"), ""),
    "many sections": (b"".join(b"[images-%d]\n" % number for number in range(9_900)), ""),
    "one section many times": (filled(b"[general]\n", 99_000), ""),
    "many keys": (b"[checksums]\n" + b"".join(b"%d = b\n" % n for n in range(9_900)), ""),
    "many sums": (b"".join(b"a" * 32 + b"  %d/linux\n" % n for n in range(90_000)), MANY),
}


@pytest.mark.parametrize("name", WORST)
def test_r43_worst_case_texts_are_refused_or_read_by_line(name: str) -> None:
    body, flaw = WORST[name]
    assert len(body) <= LIMIT
    assert text_files.flaw(body) == flaw
    if not flaw:
        lines = text_files.lines(body)
        assert len(lines) <= text_files.MAX_LINES
        assert max(map(len, lines)) <= text_files.MAX_LINE
        assert parse_treeinfo(lines) is None
        assert list(parse_sums(lines)) == []


def test_r43_checksums_of_a_whole_distribution() -> None:
    """Files of checksums may be longer than other texts."""
    body = WORST["many sums"][0]
    assert text_files.flaw(body, text_files.MAX_CHECKSUM_LINES) == ""
    assert sum(1 for _ in parse_sums(text_files.lines(body))) == 90_000


@contextmanager
def longest_pause() -> Iterator[list[float]]:
    """Yield a list that at the end contains the longest pause of another thread, in seconds."""
    pauses, over = [0.0], threading.Event()

    def tick() -> None:
        last = time.monotonic()
        while not over.is_set():
            time.sleep(0.001)
            now = time.monotonic()
            pauses[0], last = max(pauses[0], now - last), now

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield pauses
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("name", WORST)
def test_r43_worst_case_texts_block_no_other_thread(
    name: str, server: TreeServer, figures: Figures
) -> None:
    """As .treeinfo, marker and checksums; the tree is found without them, or refused."""
    body = WORST[name][0]
    top = "/installer-amd64/"
    server.files |= {top + path: content for path, content in images("images/", "debian").items()}
    server.files |= {f"{top}{path}": body for path in (".treeinfo", "current/images/MANIFEST")}
    server.files[f"{top}images/SHA256SUMS"] = body
    with longest_pause() as pauses:
        tree = probe(server.url + top)
    assert tree.kernel == "images/netboot/debian-installer/amd64/linux"
    assert tree.checksums == {}
    figures.limit("longest pause", round(pauses[0] * 1000), 100, "ms")


def test_r43_text_beyond_the_limit(server: TreeServer) -> None:
    server.files["/os/.treeinfo"] = filled(b"a", LIMIT + 1)
    with pytest.raises(InstallFailed, match="the limit is 4194304"):
        probe(f"{server.url}/os")


def with_length(digits: str) -> treeserver.Mode:
    def answer(handler: treeserver.Handler) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {digits}\r\nConnection: close\r\n\r\n"
        handler.wfile.write(head.encode() + FEDORA)
        handler.close_connection = True

    return answer


@pytest.mark.parametrize("digits", [5000, 19])
def test_r43_lengths_beyond_the_limit(digits: int, server: TreeServer, client: TreeClient) -> None:
    server.modes["/.treeinfo"] = with_length("9" * digits)
    with pytest.raises(InstallFailed, match="the limit is"):
        client.read(f"{server.url}/.treeinfo")


@pytest.mark.parametrize("length", ["-1", "\u0663", "many"])
def test_r43_invalid_lengths(length: str, server: TreeServer, client: TreeClient) -> None:
    server.modes["/.treeinfo"] = with_length(length)
    assert client.read(f"{server.url}/.treeinfo").body == FEDORA


# --- Compressed texts -----------------------------------------------------------------------------

RAW = zlib.compressobj(wbits=-15)
CODED = {
    "gzip": ("gzip", gzip.compress(FEDORA)),
    "x-gzip": ("X-GZip", gzip.compress(FEDORA)),
    "deflate": ("deflate", zlib.compress(FEDORA)),
    "deflate without a header": ("deflate", RAW.compress(FEDORA) + RAW.flush()),
    "the file itself": ("", gzip.compress(FEDORA)),
    "the file itself, and more": ("gzip", gzip.compress(gzip.compress(FEDORA))),
    "twice": ("gzip, gzip", gzip.compress(gzip.compress(FEDORA))),
    "not at all": ("identity", FEDORA),
}


@pytest.mark.parametrize("name", CODED)
def test_r53_compressed_text(name: str, server: TreeServer) -> None:
    coding, body = CODED[name]
    server.files |= {f"/os/{path}": content for path, content in pair(*PXEBOOT).items()}
    headers = {"Content_Encoding": coding} if coding else {}
    server.modes["/os/.treeinfo"] = treeserver.serve(body, **headers)
    assert probe(f"{server.url}/os").kind == "fedora"


BOMB = gzip.compress(filled(b"\n", 64 << 20))
REFUSED = {
    "bomb": ("gzip", BOMB, "longer than the limit"),
    "bomb in a file": ("", BOMB, "longer than the limit"),
    "bomb in a bomb": ("gzip", gzip.compress(BOMB), "longer than the limit"),
    "cut off": ("gzip", gzip.compress(FEDORA)[:-9], "incomplete"),
    "damaged": ("gzip", b"\x1f\x8b\x08" + b"\xff" * 99, "damaged"),
    "many members": ("gzip", gzip.compress(b"") * 100_000, "incomplete"),
    "no gzip": ("gzip", FEDORA, "damaged"),
    "brotli": ("br", FEDORA, "neither gzip nor deflate"),
    "thrice": ("gzip,gzip,gzip", FEDORA, "more than 2 times"),
    "escape sequence": ("\x1b[2J", FEDORA, "neither gzip nor deflate"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_r43_r53_compressed_text_is_limited(
    name: str, server: TreeServer, figures: Figures
) -> None:
    coding, body, words = REFUSED[name]
    headers = {"Content_Encoding": coding} if coding else {}
    server.modes["/os/.treeinfo"] = treeserver.serve(body, **headers)
    with longest_pause() as pauses, pytest.raises(InstallFailed, match=words) as caught:
        probe(f"{server.url}/os")
    assert caught.value.detail.isprintable()
    figures.limit("longest pause", round(pauses[0] * 1000), 100, "ms")


# --- Syntax of .treeinfo --------------------------------------------------------------------------


def parse(text: str) -> tuple[str, str, str] | None:
    info = parse_treeinfo(text_files.lines(text.encode()))
    return (info.arch, info.kernel, info.initrd) if info else None


IMAGES = "[images-x86_64]\nkernel = k\ninitrd = i\n"
TREEINFOS = {
    "plain": "[general]\narch = x86_64\n" + IMAGES,
    "byte order mark": "\ufeff[general]\narch = x86_64\n" + IMAGES,
    "CRLF": ("[general]\narch = x86_64\n" + IMAGES).replace("\n", "\r\n"),
    "comments": "# a\n; b = c\n[general]\n#arch = z\narch=x86_64\n" + IMAGES,
    "no architecture": IMAGES,
    "last value counts": "[general]\narch = z\narch = x86_64\n" + IMAGES,
    "section in two parts": IMAGES.replace("initrd", "[x]\na = b\n[images-x86_64]\ninitrd"),
    "lines that are nothing": "junk\n[general\n]\n = \n" + IMAGES,
}


@pytest.mark.parametrize("name", TREEINFOS)
def test_treeinfo(name: str) -> None:
    assert parse(TREEINFOS[name]) == ("x86_64", "k", "i")


@pytest.mark.parametrize("text", ["", "kernel = k\ninitrd = i\n", "[general]\narch = x86_64\n"])
def test_not_a_treeinfo(text: str) -> None:
    assert parse(text) is None


def test_checksums_of_a_treeinfo_keep_their_paths() -> None:
    text = f"{IMAGES}[checksums]\nA/b = sha256:{HEX.decode()}\nc = sha256:no\n"
    info = parse_treeinfo(text.splitlines())
    assert info
    assert list(info.checksums) == ["A/b"]


@pytest.mark.parametrize("sign", [" = ", "=", ": ", ":"])
@pytest.mark.parametrize("capitals", [False, True])
def test_r53_treeinfo_with_any_ini_syntax(sign: str, capitals: bool) -> None:
    kernel, initrd, family, arch = "kernel", "initrd", "family", "arch"
    if capitals:
        kernel, initrd, family, arch = "Kernel", "INITRD", "Family", "Arch"
    info = parse_treeinfo(
        [
            "[general]", f"{family}{sign}Fedora", f"{arch}{sign}x86_64",
            "[images-x86_64]", f"{kernel}{sign}images/K", f"{initrd}{sign}images/I",
            "[checksums]", f"images/K{sign}sha256:{'0' * 64}",
        ]
    )  # fmt: skip
    assert info is not None
    assert (info.kind, info.kernel, info.initrd) == ("fedora", "images/K", "images/I")
    assert list(info.checksums) == ["images/K"]
