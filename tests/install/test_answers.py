"""Files to inject: bytes of files, pipes and standard input."""

import io
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shctl.common.errors import InvalidInput
from shctl.install import answers
from shctl.install.answers import MAX_VALUE, read_answers, read_injected, read_values, split

BYTES = bytes(range(256)) + b"\r\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ks.cfg"
    path.write_bytes(BYTES)
    return path


@pytest.fixture
def pipe() -> Iterator[str]:
    """Return the path of a pipe with bytes in it, as a shell writes <(...)."""
    reading, writing = os.pipe()
    os.write(writing, BYTES)
    os.close(writing)
    yield f"/dev/fd/{reading}"
    os.close(reading)


def refusal(*given: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_injected(given)
    assert caught.value.field == "inject"
    return caught.value.detail


@pytest.mark.parametrize(
    ("given", "name", "path"),
    [
        ("nocloud/user-data=/a/b", "nocloud/user-data", "/a/b"),
        ("a=b=c", "a", "b=c"),
        ("a=-", "a", "-"),
        ("a=./b", "a", "./b"),
        ("/no/a=b", "a=b", "/no/a=b"),
        ("./a=b", "a=b", "./a=b"),
        ("../a=b", "a=b", "../a=b"),
        (".a=b", ".a", "b"),
    ],
)
def test_first_equals_sign_splits(
    given: str, name: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in (tmp_path, tmp_path.parent):
        (directory / "a=b").touch()
    assert split(given.replace("/no/", f"{tmp_path}/")) == (
        name,
        path.replace("/no/", f"{tmp_path}/"),
    )


def test_bytes_are_unchanged(file: Path, pipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BYTES)))
    given = [str(file), f"d/e={file}", "in=-", f"p={pipe}"]
    assert read_injected(given) == dict.fromkeys(["ks.cfg", "d/e", "in", "p"], BYTES)


def test_named_pipe(file: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = str(tmp_path / "pipe")
    assert refusal(path) == f"inject: {path} is a pipe without a name; name it with NAME={path}"
    if os.fork() == 0:
        (tmp_path / "pipe").write_bytes(BYTES)
        os._exit(0)
    assert read_injected([f"x={path}"]) == {"x": BYTES}
    os.wait()


def test_descriptors_need_names(file: Path, pipe: str) -> None:
    words = "inject: {} is {} without a name; name it with NAME={}"
    assert refusal(pipe) == words.format(pipe, "a pipe", pipe)
    with file.open("rb") as stream:
        for path in (f"/dev/fd/{stream.fileno()}", f"/proc/self/fd/{stream.fileno()}"):
            assert refusal(path) == words.format(path, "an open file", path)
            assert read_injected([f"x={path}"]) == {"x": BYTES}


def test_not_a_file(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.close()
    for path in (str(tmp_path), "/dev/null", "/dev/zero", str(tmp_path / "socket")):
        assert "neither a file nor a pipe" in refusal(path)
        assert "neither a file nor a pipe" in refusal(f"x={path}")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("-", "standard input needs a name: NAME=-"),
        ("=a", "not of the form NAME=FILE"),
        ("a=", "not of the form NAME=FILE"),
        ("/no/such", "/no/such does not exist"),
        ("a=b=c", "b=c does not exist"),
        ("../a=/etc/hosts", "a NAME before = is relative, without . and .."),
        ("", "does not exist"),
        ("a\0", "cannot read"),
    ],
)
def test_unreadable_file(given: str, words: str) -> None:
    assert words in refusal(given)


def test_file_with_an_equals_sign_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b").touch()
    assert refusal("a=b") == "inject: b does not exist; for the file a=b write ./a=b"
    assert read_injected(["./a=b"]) == {"a=b": b""}


def test_one_name_twice(file: Path, tmp_path: Path) -> None:
    assert "two files are named ks.cfg" in refusal(str(file), f"ks.cfg={file}")
    assert "only once" in refusal("a=-", "b=-")


def test_size_is_limited(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_BYTES", 2 * len(BYTES))
    assert len(read_injected([f"a={file}", f"b={file}"])) == 2
    assert "with c, the files have more than" in refusal(*(f"{n}={file}" for n in "abc"))


def test_r49_closed_standard_input_is_not_an_empty_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input is closed" in refusal("a=-")


def test_endless_pipe_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_BYTES", 1000)
    with open("/dev/zero") as zero:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", zero)
        assert "with a, the files have more than" in refusal("a=-")


def test_answers_keep_the_names_of_their_files(
    file: Path, pipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"in")))
    found = read_answers([str(file), "-", pipe])
    assert found == {"ks.cfg": BYTES, "-": b"in", pipe: BYTES}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["-", "-"], "standard input can be read only once"),
        (["/no/such"], "/no/such does not exist"),
        (["a=/etc/hosts"], "a=/etc/hosts does not exist"),
        (["/etc/hosts", "/etc/hosts"], "two files are named hosts"),
    ],
)
def test_unreadable_answers(given: list[str], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_answers(given)
    assert caught.value.field == "answers"
    assert words in caught.value.detail


def test_values_may_be_in_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"top secret \xc3\xa4\n")
    found = read_values([("A", "a@b"), ("B", f"@{tmp_path}/secret"), ("C", "@@c"), ("D", "")])
    assert found == {"A": "a@b", "B": "top secret \u00e4", "C": "@c", "D": ""}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "must have one line, the value of X; it has 0"),
        (b"a\nb\n", "must have one line, the value of X; it has 2"),
        (b"a" * (MAX_VALUE + 1), "the file for X has more than 64 KiB"),
    ],
    ids=["missing", "empty", "two lines", "long"],
)
def test_unusable_file_of_a_value(content: bytes | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        read_values([("X", f"@{tmp_path}/file")])
    assert (caught.value.field, words in caught.value.detail) == ("values", True), caught.value
