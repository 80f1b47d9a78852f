"""Answers in initrds of every compression that Linux supports, unpacked by a real Linux."""

import bz2
import gzip
import hashlib
import lzma
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import guests, linux_guest
from tests.installations import Trees, arguments, delete, log_of, one_line
from tests.scoreboard import rounds
from tests.support import eventually, ok, run

pytestmark = pytest.mark.usefixtures("vlan10")

# All byte values, and a Windows line ending.
ANSWER = bytes(range(256)) * 40 + b"\r\n"
SHOWS = "for f in /answer /nocloud/user-data; do echo $(sha256sum $f); done; echo that is all"
# Early microcode is a separate archive before the main one.
EARLY = linux_guest.archive({"kernel/x86/microcode/GenuineIntel.bin": b"m" * 1001})


def _run(*argv: str) -> Callable[[bytes], bytes]:
    return lambda data: subprocess.run(argv, input=data, capture_output=True, check=True).stdout


# Named as in Linux's CONFIG_RD_*; Linux does not support CRC64 for xz.
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzo": _run("lzop", "-c"),
    "lz4": _run("lz4", "-l", "-c"),
    "zstd": _run("zstd", "-c", "-q"),
}
SHAPES: dict[str, Callable[[bytes], bytes]] = dict(PACKERS)
MORE: dict[str, Callable[[bytes], bytes]] = {
    "early, then zstd": lambda data: EARLY + PACKERS["zstd"](data),
    "lz4, then zeros": lambda data: PACKERS["lz4"](data) + bytes(511),
}
if rounds(2, 1) > 1:  # each takes some seconds
    SHAPES |= MORE


def test_linux_supports_all_compressions() -> None:
    """Otherwise the tests of a compression would prove nothing."""
    config = next(linux_guest.UNPACKED.glob("boot/config-*")).read_text()
    built = re.findall(r"^CONFIG_RD_([A-Z0-9]+)=y", config, re.MULTILINE)
    assert {name.lower() for name in built} == PACKERS.keys() - {"none"}


@pytest.mark.parametrize("shape", SHAPES)
def test_r49_linux_finds_the_answers(
    shape: str, trees: Trees, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "answer").write_bytes(ANSWER)
    (tmp_path / "installer").write_text(SHOWS)
    location = trees.add("packed", linux_guest.kernel(), SHAPES[shape](linux_guest.small_initrd()))
    given = ["answer", "nocloud/user-data=answer", "installer"]
    monkeypatch.chdir(tmp_path)
    ok(*arguments("packed", location, "--memory", "256", *(f"--inject={file}" for file in given)))
    eventually(lambda: re.search("that is all|ended with|panic", log_of("packed")), 120)
    log = log_of("packed")
    digest = hashlib.sha256(ANSWER).hexdigest()
    assert f"{digest} /answer" in log, log
    assert f"{digest} /nocloud/user-data" in log, log
    delete("packed")


@pytest.mark.parametrize("start", [b"\x04\x22\x4d\x18", b"x"], ids=["lz4 of frames", "unknown"])
def test_r49_answers_that_linux_could_not_unpack_are_refused(start: bytes, trees: Trees) -> None:
    location = trees.add("odd", guests.kernel("x", guests.End.HALT), start * 1000)
    done = run(*arguments("packed", location, "--inject-text", "ks.cfg=x"))
    assert (done.code, one_line(done)) == (2, True), done
    assert "so the files would be ignored" in done.err
    # Without answers the kernel may support it.
    ok(*arguments("packed", location))
    delete("packed")
